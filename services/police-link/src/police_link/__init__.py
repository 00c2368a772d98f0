"""Amanat's service police-link."""
