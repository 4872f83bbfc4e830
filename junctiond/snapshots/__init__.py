"""Snapshots of functions that wait for their first connection: when one is worth taking, where it lies, who takes it.

Read first: docs/decisions/0007-python-start.md.
"""
