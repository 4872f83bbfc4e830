"""Generated from host.proto; do not edit (python -m junctiond.api.generate)."""
