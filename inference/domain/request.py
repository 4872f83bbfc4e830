"""A request as a policy may see it, and the closed sets that describe it."""

from enum import IntEnum
from typing import NamedTuple


class Priority(IntEnum):
    """Who must give way first when power is short (POLCA, section 5)."""

    HIGH = 0
    LOW = 1


class Phase(IntEnum):
    """The two phases of a generative request (Splitwise, section 2)."""

    PREFILL = 0
    DECODE = 1


class Request(NamedTuple):
    """One generation, as known on arrival.

    A tuple, because one is made for each of millions of requests.

    Attributes:
        request_id: index in its trace; unique in a run.
        arrival_ns: when it reached the router.
        prompt_tokens: its input, at least 1.
        output_tokens: tokens it is expected to generate, the first one included. A trace's true value where a policy may
            be an oracle (Splitwise's reservation of KV memory), else a predictor's.
        model: index of the model that it asks for.
        priority: whom a power cap hits first.
        class_id: index of its `domain.slo.RequestClass`; -1 where no policy classifies.
    """

    request_id: int
    arrival_ns: int
    prompt_tokens: int
    output_tokens: int
    model: int = 0
    priority: Priority = Priority.HIGH
    class_id: int = -1
