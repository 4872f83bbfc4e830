"""LLM serving: domain, policies, models and the simulator. Imports nothing of the host (see pyproject.toml)."""
