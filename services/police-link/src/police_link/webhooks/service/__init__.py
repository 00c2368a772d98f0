"""What webhooks do: what subscribers ask for, and what enters and leaves the queue."""
