"""What partners send. Fields are the contracts' records: each knows its data category there."""

from amanat.contracts.records import Assignment, Decline


class NewAssignment(Assignment):
    """Counsel stands ready, or what is known of counsel and hearings has changed; `assigned_at` is now when absent."""


class NewDecline(Decline):
    """Why the partner cannot represent her, so that the cell can ask another."""
