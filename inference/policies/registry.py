"""Policies by name: what a scenario or a gateway may ask for, each with its settings and where it is described.

A registry knows how to make one kind of policy. `ROUTING` and `DISAGGREGATION` are filled here; other kinds, which need
more than a seed to be made, fill a `Registry` of their own where they are put together. A learned router registers as
any other name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from inference.errors import ScenarioError
from inference.policies.disaggregation import ByPromptLength, Layerwise, Prompts, Serialized
from inference.policies.parameters import Nothing, decode, listed
from inference.policies.protocols import DisaggregationPolicy, RoutingPolicy
from inference.policies.routing import catalog
from inference.policies.routing.admission import Admission

ContextT = TypeVar("ContextT")
PolicyT = TypeVar("PolicyT")


@dataclass(frozen=True, slots=True)
class Entry(Generic[ContextT, PolicyT]):
    """One policy.

    Attributes:
        name: that it is asked for by.
        parameters: dataclass of its settings.
        make: from settings and context.
        source: paper and section, or what it is.
    """

    name: str
    parameters: type[Any]
    make: Callable[[Any, ContextT], PolicyT]
    source: str


@dataclass(slots=True)
class Registry(Generic[ContextT, PolicyT]):
    """Policies of one kind by name.

    Attributes:
        kind: for errors ("routing policy").
        entries: by name.
    """

    kind: str
    entries: dict[str, Entry[ContextT, PolicyT]] = field(default_factory=dict)

    def register(
        self,
        name: str,
        parameters: type[Any],
        make: Callable[[Any, ContextT], PolicyT],
        source: str,
    ) -> None:
        """Add a policy.

        Raises:
            ValueError: the name is taken.
        """
        if name in self.entries:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self.entries[name] = Entry(name, parameters, make, source)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self.entries))

    def make(
        self,
        name: str,
        parameters: Mapping[str, object],
        context: ContextT,
        *,
        source: str = "argument",
        key: str = "policy",
    ) -> PolicyT:
        """Make a policy.

        Args:
            name: of the policy.
            parameters: its settings by name; those left out keep their defaults.
            context: what else its kind needs.
            source: file that asks for it, for errors.
            key: dotted key of the table with `policy` and `parameters`, for errors.

        Raises:
            ScenarioError: no such policy or setting (those there are are listed), or a setting is out of range.
        """
        if name not in self.entries:
            expected = f"unknown {self.kind}: {listed(name, self.entries)}"
            raise ScenarioError(source, f"{key}.policy", expected)
        entry = self.entries[name]
        settings = decode(entry.parameters, parameters, source, f"{key}.parameters")
        return entry.make(settings, context)


ROUTING: Registry[int, RoutingPolicy] = Registry("routing policy")
"""Made from settings and the run's seed."""
DISAGGREGATION: Registry[None, DisaggregationPolicy] = Registry("disaggregation policy")


def routing_policy(
    name: str,
    parameters: Mapping[str, object] | None = None,
    *,
    seed: int = 0,
    source: str = "argument",
    key: str = "routing",
) -> RoutingPolicy:
    """Make a routing policy by name, behind the check that turns away what no replica can ever hold.

    Raises:
        ScenarioError: as `Registry.make`.
    """
    return Admission(ROUTING.make(name, parameters or {}, seed, source=source, key=key))


def disaggregation_policy(
    name: str,
    parameters: Mapping[str, object] | None = None,
    *,
    source: str = "argument",
    key: str = "disaggregation",
) -> DisaggregationPolicy:
    """Make a disaggregation policy by name.

    Raises:
        ScenarioError: as `Registry.make`.
    """
    return DISAGGREGATION.make(name, parameters or {}, None, source=source, key=key)


for _name, (_parameters, _make, _source) in catalog.POLICIES.items():
    ROUTING.register(_name, _parameters, _make, _source)
DISAGGREGATION.register(
    "by_prompt_length",
    Prompts,
    lambda settings, _: ByPromptLength(settings.prompt_tokens_min),
    "Splitwise, section 4.3",
)
DISAGGREGATION.register("serialized", Nothing, lambda *_: Serialized(), "Splitwise, section 4.3")
DISAGGREGATION.register("layerwise", Nothing, lambda *_: Layerwise(), "Splitwise, section 4.3")
