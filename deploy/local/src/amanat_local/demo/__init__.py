"""The story of two survivors, played through the public APIs by three kinds of client. All persons are invented."""
