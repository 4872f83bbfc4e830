"""Sandboxes: what to launch (pure), the specification, and the launcher that runs it."""
