"""Webhooks: a reporting centre names an address, proves that it is its own, and is told of each referral that arrives.

What is sent is thin: the referral's code and its link; who wants more pulls it under a lease. Rooms, outermost first:

- `api`, `worker`  HTTP: subscribe, list, remove, replay; the worker's tasks and its hooks on the gate's events
- `delivery`       claims what is due, sends it, settles it
- `service`        what subscribers ask for; what enters and leaves the queue
- `attempt`        one signed POST, and how its answer is judged
- `connection`     a POST pinned to addresses that were checked
- `repository`     SQL
- `models`, `schemas`, `errors`, `settings`
- `addresses`, `schedule`, `messages`  pure rules: where to connect, when to try again, what to say

`main` never calls a stranger's address: it only writes the queue. Deliveries may be attempted more than once and in any
order; `webhook-id` is one per delivery, the same over all its attempts.
"""
