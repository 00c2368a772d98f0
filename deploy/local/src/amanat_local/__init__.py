"""Amanat on one machine, without containers."""
