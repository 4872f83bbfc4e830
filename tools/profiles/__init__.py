"""Scripts that made the data committed beside inference's code from published data sets; run again, they write the same."""
