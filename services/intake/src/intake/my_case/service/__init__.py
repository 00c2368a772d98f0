"""Use cases of the survivor's own page, and of the cell's part in it."""
