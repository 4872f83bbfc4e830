"""What inference raises, and whose fault it is.

    InferenceError(message)
      ├─ InputError(source, key, expected)   a file or value from outside is wrong
      │    ├─ ScenarioError                  a scenario TOML
      │    ├─ TraceError                     a trace of requests
      │    └─ ProfileError                   a latency, power or energy profile
      └─ HardwareError(device, problem, mend)   a meter or an actuator of this host cannot do its work
           ├─ HardwareAbsent                 this host has no such thing
           ├─ HardwareDenied                 it is there, but this process may not use it
           └─ HardwareRefused                it is there, and does not take this value

A programmer's mistake is an assertion or a ValueError, never one of these.
"""


class InferenceError(Exception):
    """A simulation, a policy or a profile cannot go on; the message says how to mend it."""


class PolicyError(InferenceError):
    """A policy decided what cannot be carried out: a replica that takes no requests, a clock that the GPU has not."""


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


class HardwareError(InferenceError):
    """A meter or an actuator of this host cannot do its work.

    Attributes:
        device: the file or GPU that it is about.
        problem: what went wrong.
        mend: what whoever runs the host can do about it.
    """

    def __init__(self, device: str, problem: str, mend: str) -> None:
        super().__init__(f"{device}: {problem}; {mend}")
        self.device = device
        self.problem = problem
        self.mend = mend


class HardwareAbsent(HardwareError):
    """This host has no such counter, driver or control file."""


class HardwareDenied(HardwareError):
    """The kernel or the driver keeps it from this process."""


class HardwareRefused(HardwareError):
    """The value lies outside what the hardware takes; the problem names the range."""
