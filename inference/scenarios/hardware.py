"""The latency and power models of one run, with where their figures come from and what was extrapolated."""

from collections.abc import Callable

from inference.domain.replica import Gpu, Model, ReplicaSpec
from inference.errors import ProfileError
from inference.models.latency import latency_model, latency_provenance
from inference.models.power import power_model, power_provenance
from inference.models.protocols import LatencyModel, PowerModel
from inference.models.provenance import Provenance
from inference.scenarios.fleet import Fleet
from inference.scenarios.spec import Scenario

Kind = tuple[Model, Gpu, int]


class Hardware:
    """One model of each for a kind of replica, so that each counts its own coverage.

    Attributes:
        provenance: of every profile used, by what it describes.
        powered: whether every kind that the run begins with has a power model; else energy is not counted at all.
    """

    def __init__(self, scenario: Scenario, fleet: Fleet) -> None:
        """Read the profiles of the replicas that the run begins with.

        Raises:
            ProfileError: a latency profile is missing, or a power profile that the scenario's power policy needs.
        """
        self._mode = scenario.latency
        self._latency: dict[Kind, LatencyModel] = {}
        self._power: dict[Kind, PowerModel] = {}
        self._warn: list[Callable[[], tuple[str, ...]]] = []
        self.provenance: dict[str, Provenance] = {}
        self.powered = True
        for spec in dict.fromkeys(fleet.specs):
            self.latency(spec)
            try:
                self.power(spec)
            except ProfileError as error:
                if scenario.power is not None:
                    raise
                self.powered = False
                said = f"energy is not counted: {error}"
                self._warn.append(lambda said=said: (said,))  # type: ignore[misc]

    def latency(self, spec: ReplicaSpec) -> LatencyModel:
        """The latency model of a kind of replica, at its highest clock."""
        kind = (spec.model, spec.gpu, spec.tp)
        if kind not in self._latency:
            made = latency_model(*kind, self._mode)
            self._latency[kind] = made
            self._warn.append(made.coverage.warnings)
            self.provenance[f"latency {_named(spec)}"] = latency_provenance(*kind, self._mode)
        return self._latency[kind]

    def power(self, spec: ReplicaSpec) -> PowerModel:
        """The power model of a kind of replica, at its highest clock."""
        kind = (spec.model, spec.gpu, spec.tp)
        if kind not in self._power:
            made = power_model(*kind)
            self._power[kind] = made
            self._warn.append(made.warnings)
            self.provenance[f"power {_named(spec)}"] = power_provenance(*kind)
        return self._power[kind]

    def warnings(self) -> tuple[str, ...]:
        """What was extrapolated so far, and what is not counted."""
        return tuple(warning for ask in self._warn for warning in ask())


def _named(spec: ReplicaSpec) -> str:
    return f"{spec.model.name} {spec.gpu.name} tp{spec.tp}"
