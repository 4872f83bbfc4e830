"""Knobs of a real host that change power and speed, set with care: bounded, paced, read back, and given back at the end."""
