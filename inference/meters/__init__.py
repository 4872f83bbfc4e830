"""Energy of a real host: what its counters say, or a stated model where it has none. Never both under one name."""
