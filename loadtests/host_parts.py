"""The parts that are measured on a host as everybody gets it: cold starts, memory, sustained cold starts, idle replicas."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from loadtests import cold, idle, memory, sustained
from loadtests.effort import Effort
from loadtests.failure import Attempts, Place
from loadtests.instance import Instance, instance
from loadtests.placement import Placement
from loadtests.program import Program
from loadtests.quiet import Quiet
from loadtests.series import Series

HOST_PARTS = ("cold", "memory", "sustained", "idle")
FUNCTION = "aes"


@dataclass(frozen=True, slots=True)
class Parts:
    """Measures parts, each on a host of its own, so that one that fails leaves nothing to the next.

    Attributes:
        images: HOST:PORT of the registry.
        programs: of the functions, as bare runs them.
        found: gets the series.
        after_round: called when there is something new in it.
    """

    images: str
    programs: Mapping[str, Program]
    effort: Effort
    seed: int
    quiet: Quiet
    attempts: Attempts
    found: list[Series]
    after_round: Callable[[], None]

    def measure(self, parts: list[str]) -> None:
        """Measures all parts; what fails is noted."""
        if parts:
            self.attempts.say(f"{Placement.OWN.letter}: {Placement.OWN.words}")
        for part in parts:
            place = Place(part, "", "", str(Placement.OWN))
            self.attempts.run(place, "part", partial(self._on_a_host, part))
            self.after_round()

    def _on_a_host(self, part: str) -> None:
        with instance(Placement.OWN) as host:
            {
                "cold": self._cold,
                "memory": self._memory,
                "sustained": self._sustained,
                "idle": self._idle,
            }[part](host)

    def _cold(self, host: Instance) -> None:
        cold.measure(
            host,
            self.images,
            self.programs,
            self.effort,
            self.seed,
            quiet=self.quiet,
            attempts=self.attempts,
            found=self.found,
            after_round=self.after_round,
        )

    def _memory(self, host: Instance) -> None:
        host.gateway.deploy(FUNCTION, f"{self.images}/{FUNCTION}:latest")
        host.gateway.wait_for_replicas(FUNCTION, 1)
        memory.measure(
            host,
            FUNCTION,
            self.programs[FUNCTION],
            self.effort,
            self.seed,
            attempts=self.attempts,
            found=self.found,
            after_round=self.after_round,
        )
        host.gateway.remove(FUNCTION)

    def _sustained(self, host: Instance) -> None:
        image = f"{self.images}/{FUNCTION}:latest"
        starts = self.effort.cold_starts
        self.found.append(sustained.measure(host, image, starts, self.attempts.say))

    def _idle(self, host: Instance) -> None:
        image = f"{self.images}/{FUNCTION}:latest"
        replicas = self.effort.idle_replicas
        self.found.append(idle.measure(host, image, replicas, self.attempts.say))
