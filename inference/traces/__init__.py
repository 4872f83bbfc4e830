"""Traces of requests: readers of published ones, generators, and the columns that the simulator runs over."""
