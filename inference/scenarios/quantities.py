"""The quantities that scenario keys are of, each with its range."""

from typing import Annotated

from inference.scenarios.schema import Above, Between, Nonempty

Count = Annotated[int, Between(0, 100_000)]
Tokens = Annotated[int, Between(1, 10_000_000)]
Seconds = Annotated[float, Between(0.0, 1e9)]
SecondsAbove0 = Annotated[float, Above(0.0, 1e9)]
Rate = Annotated[float, Above(0.0, 1e6)]
Share = Annotated[float, Between(0.0, 1.0)]
ShareAbove0 = Annotated[float, Above(0.0, 1.0)]
Name = Annotated[str, Nonempty()]
