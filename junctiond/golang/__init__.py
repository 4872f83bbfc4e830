"""Static Go programs on rings: their one place of system calls is led into the shim, in a copy made once per program."""
