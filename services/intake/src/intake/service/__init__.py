"""Intake's use cases: plain functions of a session, who asks, what, and when."""
