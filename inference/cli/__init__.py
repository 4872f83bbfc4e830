"""`jsim`: the simulator's command line."""
