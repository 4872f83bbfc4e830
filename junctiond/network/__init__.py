"""Addresses of sandboxes and what the host tells them about the world outside."""
