"""Fluid driver: runs DynamoLLM's planners over rates instead of requests, for weeks in seconds. No latency comes of it."""
