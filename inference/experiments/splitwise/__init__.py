"""Splitwise's targets SW1 to SW13: which cluster serves most within nine objectives, and what its phases cost."""
