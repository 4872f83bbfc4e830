"""Many runs: grids of scenarios, and searches for the highest rate and the cheapest cluster (Splitwise, section 5)."""
