"""Amanat's service intake."""
