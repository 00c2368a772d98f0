"""All SQL of the survivor's own page."""
