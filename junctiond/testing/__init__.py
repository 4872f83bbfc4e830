"""Fakes that other packages test against."""
