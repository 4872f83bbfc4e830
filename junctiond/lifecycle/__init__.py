"""What to do next for one function: pure decisions over desired and observed state.

Read first: `state.py` (the words), `events.py` (how observations change it), `reconcile.py` (the decision).
"""
