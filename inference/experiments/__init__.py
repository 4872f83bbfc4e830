"""The papers' experiments: each function runs one and returns its targets with our figures."""
