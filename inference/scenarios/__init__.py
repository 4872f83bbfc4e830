"""Scenarios: one TOML file says everything that a simulated run depends on."""
