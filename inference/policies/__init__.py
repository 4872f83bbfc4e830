"""Policies: small objects that decide. Events, views and `now_ns` in, actions out; the same objects run live and simulated."""
