"""Figures, measured on the real stack. Never asserted in tests: machines differ."""
