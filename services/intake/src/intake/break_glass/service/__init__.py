"""Use cases of breaking the glass: plain functions of a session, who asks, the input and the time."""
