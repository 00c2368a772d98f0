"""Amanat's service legal-aid."""
