"""All SQL of breaking the glass. Only the search for an emergency's case goes over several cells, each by its key."""
