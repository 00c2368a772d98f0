"""Amanat's service forensics."""
