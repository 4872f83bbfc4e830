"""What inference raises, and whose fault it is.

    InferenceError(message)
      └─ InputError(source, key, expected)   a file or value from outside is wrong
           ├─ ScenarioError                  a scenario TOML
           ├─ TraceError                     a trace of requests
           └─ ProfileError                   a latency, power or energy profile

A programmer's mistake is an assertion or a ValueError, never one of these.
"""


class InferenceError(Exception):
    """A simulation, a policy or a profile cannot go on; the message says how to mend it."""


class InputError(InferenceError):
    """Something from outside is not as it must be.

    Attributes:
        source: the file (or "argument") that holds it.
        key: where in it: a dotted TOML key, a column and row.
        expected: what would have been right, with the value that was found.
    """

    def __init__(self, source: str, key: str, expected: str) -> None:
        super().__init__(f"{source}: {key}: {expected}")
        self.source = source
        self.key = key
        self.expected = expected


class ScenarioError(InputError):
    """A scenario file has an unknown key, a value out of range, an impossible cluster or a cycle of includes."""


class TraceError(InputError):
    """A trace is empty, unsorted, or holds lengths that are not positive integers."""


class ProfileError(InputError):
    """A profile lacks its provenance, a column or a value, or does not know what it was asked for."""
