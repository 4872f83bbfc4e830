"""Reads row scenarios: strict TOML, where an unknown key is an error that names the file, the key and what was expected."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from inference.domain.request import Priority
from inference.policies.power.no_cap import no_cap
from inference.policies.power.polca import Thresholds, polca
from inference.policies.power.single_threshold import single_threshold
from inference.policies.protocols import PowerPolicy
from inference.row.load import LoadShape
from inference.row.reader import Reader
from inference.row.workload import EVALUATION_MIX, Workload, servers_by_workload
from inference.scenarios.includes import SHIPPED

POLICIES = ("unlimited", "no-cap", "1-thresh-low-pri", "1-thresh-all", "polca")
FILES = SHIPPED / "row"
SERVERS_MAX = 10_000
DAYS_MAX = 366


@dataclass(frozen=True, slots=True)
class RowScenario:
    """A row, its load and its policy.

    Attributes:
        name: of the scenario.
        servers: that stand in the row.
        provisioned_servers: that its power limit was laid out for.
        provisioned_w_per_server: share of the limit of each of those.
        days: that are simulated, to the minute.
        seed: of arrivals and lengths.
        load: how busy the servers are asked to be.
        workloads: what they serve; shares sum to 1.
        policy: one of `POLICIES`.
        thresholds: of POLCA.
        brake_clock_mhz: SM clock under the power brake.
    """

    name: str
    servers: int
    provisioned_servers: int
    provisioned_w_per_server: float
    days: float
    seed: int
    load: LoadShape
    workloads: tuple[Workload, ...] = EVALUATION_MIX
    policy: str = "polca"
    thresholds: Thresholds = field(default_factory=Thresholds)
    brake_clock_mhz: int = 288

    @property
    def provisioned_w(self) -> float:
        """Power that the row may draw."""
        return self.provisioned_servers * self.provisioned_w_per_server

    @property
    def minutes(self) -> int:
        """That are simulated."""
        return round(self.days * 1440)

    def priorities(self) -> tuple[Priority, ...]:
        """Of each server, by its index."""
        counts = servers_by_workload(self.workloads, self.servers)
        return tuple(
            workload.priority
            for workload, count in zip(self.workloads, counts, strict=True)
            for _ in range(count)
        )

    def oversubscribed(self, share: float) -> "RowScenario":
        """The same row with that share of servers added: 0.30 makes 52 of 40."""
        servers = round(self.provisioned_servers * (1.0 + share))
        return replace(self, name=f"{self.name}+{share:.0%}", servers=servers)


def power_policy(row: RowScenario, name: str | None = None) -> PowerPolicy | None:
    """The policy of a scenario, or another of `POLICIES` for the same row; None is a row without any limit.

    Raises:
        ValueError: there is no policy of that name.
    """
    wanted, limit_w, priorities = name or row.policy, row.provisioned_w, row.priorities()
    if wanted == "unlimited":
        return None
    if wanted == "no-cap":
        return no_cap(limit_w, priorities)
    if wanted in ("1-thresh-low-pri", "1-thresh-all"):
        everyone = wanted == "1-thresh-all"
        at = row.thresholds
        return single_threshold(
            limit_w, priorities, all_priorities=everyone, threshold=at.t2, lift=at.lift
        )
    if wanted == "polca":
        return polca(limit_w, priorities, thresholds=row.thresholds)
    raise ValueError(f"expected a policy of {', '.join(POLICIES)}, found {wanted!r}")


def load_row(path: Path) -> RowScenario:
    """Read a row scenario.

    Raises:
        ScenarioError: the file is no TOML, has an unknown key, lacks one, or a value is out of range.
    """
    return _row(Reader(path))


def shipped_row(name: str) -> RowScenario:
    """A row scenario that comes with the product ("polca-plus30").

    Raises:
        ScenarioError: there is none of that name.
    """
    return load_row(FILES / f"{name}.toml")


def _row(reader: Reader) -> RowScenario:
    document = reader.document
    reader.known(document, "", ("name", "description", "row", "load", "policy", "workload"))
    row = reader.table(document, "row")
    keys = ("servers", "provisioned_servers", "provisioned_w_per_server", "days", "seed")
    reader.known(row, "row", (*keys, "brake_clock_mhz"))
    workloads = _workloads(reader, document)
    servers = reader.whole(row, "row.servers", 1, SERVERS_MAX)
    if 0 in servers_by_workload(workloads, servers):
        reader.refuse("row.servers", f"at least one server for each workload, found {servers}")
    policy, thresholds = _policy(reader, reader.table(document, "policy"))
    return RowScenario(
        reader.text(document, "name"),
        servers,
        reader.whole(row, "row.provisioned_servers", 1, SERVERS_MAX),
        reader.number(row, "row.provisioned_w_per_server", 1.0, 1e6),
        reader.number(row, "row.days", 0.01, DAYS_MAX),
        reader.whole(row, "row.seed", 0, 2**31),
        _load(reader, reader.table(document, "load")),
        workloads,
        policy,
        thresholds,
        reader.whole(row, "row.brake_clock_mhz", 1, 10_000, default=288),
    )


def _load(reader: Reader, load: Mapping[str, object]) -> LoadShape:
    reader.known(load, "load", tuple(own.name for own in fields(LoadShape)))
    busy_peak = reader.number(load, "load.busy_peak", 0.01, 0.98)
    return LoadShape(
        busy_peak,
        reader.number(load, "load.busy_valley", 0.0, busy_peak),
        reader.number(load, "load.peak_hour", 0.0, 24.0, default=14.0),
        reader.number(load, "load.weekend", 0.0, 1.0, default=0.9),
        reader.number(load, "load.noise", 0.0, 0.5, default=0.02),
        reader.number(load, "load.noise_minutes", 1.0, 1440.0, default=30.0),
        reader.whole(load, "load.first_weekday", 0, 6, default=2),
        reader.whole(load, "load.balanced_over", 1, 1000, default=1),
        reader.number(load, "load.bursts_per_day", 0.0, 10_000.0, default=0.0),
        reader.number(load, "load.burst_per_server", 0.0, 10.0, default=0.0),
    )


def _policy(reader: Reader, policy: Mapping[str, object]) -> tuple[str, Thresholds]:
    reader.known(policy, "policy", ("name", "t1", "t2", "lift"))
    name = reader.text(policy, "policy.name")
    if name not in POLICIES:
        reader.refuse("policy.name", f"one of {', '.join(POLICIES)}, found {name!r}")
    shares = [
        reader.number(policy, f"policy.{key}", 0.0, 1.0, default=default)
        for key, default in (("t1", 0.80), ("t2", 0.89), ("lift", 0.05))
    ]
    try:
        return name, Thresholds(*shares)
    except ValueError as error:
        raise reader.error("policy", str(error)) from error


def _workloads(reader: Reader, document: Mapping[str, object]) -> tuple[Workload, ...]:
    if "workload" not in document:
        return EVALUATION_MIX
    found = document["workload"]
    if not isinstance(found, list) or not found:
        reader.refuse("workload", f"tables [[workload]], found {found!r}")
    workloads = tuple(_workload(reader, index, entry) for index, entry in enumerate(found))
    total = sum(workload.share for workload in workloads)
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        reader.refuse("workload.share", f"shares that sum to 1, found {total:g}")
    return workloads


def _workload(reader: Reader, index: int, entry: object) -> Workload:
    at = f"workload.{index}"
    if not isinstance(entry, dict):
        reader.refuse(at, f"a table, found {entry!r}")
    reader.known(entry, at, ("name", "share", "priority", "prompt_tokens", "output_tokens"))
    priority = reader.text(entry, f"{at}.priority")
    if priority not in ("low", "high"):
        reader.refuse(f"{at}.priority", f"low or high, found {priority!r}")
    return Workload(
        reader.text(entry, f"{at}.name"),
        reader.number(entry, f"{at}.share", 0.0, 1.0),
        Priority.LOW if priority == "low" else Priority.HIGH,
        _lengths(reader, entry, f"{at}.prompt_tokens"),
        _lengths(reader, entry, f"{at}.output_tokens"),
    )


def _lengths(reader: Reader, table: Mapping[str, object], key: str) -> tuple[int, int]:
    found = table.get(key.rpartition(".")[2])
    if (
        not isinstance(found, list)
        or len(found) != 2
        or not all(isinstance(one, int) and not isinstance(one, bool) for one in found)
        or not 1 <= found[0] <= found[1]
    ):
        reader.refuse(key, f"two whole numbers [least, most], from 1 up, found {found!r}")
    return found[0], found[1]
