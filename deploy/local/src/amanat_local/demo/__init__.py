"""The story of two survivors, played through the public APIs as three kinds of client would. All persons are invented."""
