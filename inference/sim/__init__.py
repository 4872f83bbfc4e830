"""The cluster simulator: a driver of the policies under simulated time. Integer nanoseconds, one seed, no clock."""
