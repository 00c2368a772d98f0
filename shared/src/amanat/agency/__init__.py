"""What the outside agencies' services share. A fifth one (counselling, say) adds its rooms and takes
the rest from here:

- `repository`  the tables' SQL: reads take an `Access`, statements join the asking tenant and the tombstones
- `reading`     lease → look on record → open → check again → answer
- `recording`   what the organisation itself reports: its own record, the referral's state, the sealed fact, the ledger
- `custody`     a kit's halves
- `handlers`    what the gate tells: one table from event type to effect
- `desk`        what a process holds: instruments, database, leases
- `web`, `app`, `worker`  the edges: HTTP and Kafka; business code imports none of them

To add a service: its agency, prefix and ceilings in `amanat.categories` and `amanat.codes`, its facts in
`amanat.contracts`, its place in the directory; then `services/<name>` with the same rooms as `services/legal-aid`.
"""
