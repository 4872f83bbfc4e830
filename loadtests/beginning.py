"""The tree and the machine as they were when a run began."""

import os
from dataclasses import dataclass, field

from loadtests import machine, record


@dataclass(frozen=True, slots=True)
class Beginning:
    """Made when a run begins, asked when its figures are kept.

    Attributes:
        commit: of the tree; others may commit while the run goes on.
        load_1m: load average of the minute before.
        cpu: time that the processors had spent by then.
    """

    commit: str = field(default_factory=machine.commit)
    load_1m: float = field(default_factory=lambda: os.getloadavg()[0])
    cpu: machine.CpuTimes = field(default_factory=machine.CpuTimes.now)

    def provenance(self, generators: str) -> record.Provenance:
        """Of figures that are kept now: the tree then, the machine since then."""
        facts = machine.describe(generators, self.cpu, self.load_1m)
        return record.Provenance(self.commit, facts, record.now_text())
