"""Which core everything runs on: a pure policy, what it looks at, and what carries it out."""
