"""What the machine lacks."""

from __future__ import annotations


class Missing(Exception):
    """A program or a download that the real stack needs is not there; the text says how to get it."""
