"""Goal: every meter keeps the promises of the protocol, the recorded ones and those that this machine really has."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference.errors import HardwareAbsent, HardwareDenied
from inference.meters.composite import CompositeMeter
from inference.meters.cpu_model import CpuModelMeter
from inference.meters.delta import energy_delta
from inference.meters.gpu import GpuMeter
from inference.meters.host_sensor import HostSensorMeter
from inference.meters.protocols import Meter
from inference.meters.rapl import RaplMeter
from inference.meters.simulated_gpu import SimulatedGpu, SimulatedNvml
from inference.models.provenance import Origin
from tests.unit.inference.meters import trees
from tests.unit.inference.meters.test_cpu_model import line

SECOND = 1_000_000_000


def host_sensor(tmp_path: Path) -> Meter:
    host = trees.roots(tmp_path)
    trees.power_meter(host, 300_000_000)
    return HostSensorMeter(host)


def simulated(tmp_path: Path) -> Meter:
    return GpuMeter(SimulatedNvml(SimulatedGpu(), SimulatedGpu(has_counter=False)))


RECORDED: dict[str, Callable[[Path], Meter]] = {
    "rapl recorded": lambda path: RaplMeter(trees.intel_client(path)),
    "nvml simulated": simulated,
    "model recorded": lambda path: CpuModelMeter(line(1.0, 2.0), trees.virtual_machine(path)),
    "host sensor recorded": host_sensor,
    "composite": lambda path: CompositeMeter([RaplMeter(trees.amd(path)), simulated(path)]),
}
HERE: dict[str, Callable[[], Meter]] = {
    "rapl": RaplMeter,
    "nvml": GpuMeter,
    "model": lambda: CpuModelMeter(line(1.0, 2.0)),
    "host sensor": HostSensorMeter,
}


@pytest.fixture(params=RECORDED)
def meter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Meter]:
    made = RECORDED[request.param](tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("name", HERE)
def test_the_meters_of_this_machine(name):
    """The same promises, kept by what this machine really has."""
    try:
        made = HERE[name]()
    except (HardwareAbsent, HardwareDenied) as error:
        pytest.skip(str(error))
    test_every_domain_is_read_or_excused(made)
    test_what_lies_inside_lies_in_something_known(made)
    test_it_says_whether_it_measures(made)
    test_energy_between_two_reads_is_not_negative_and_has_a_scope(made)
    test_closing_twice_is_no_mistake(made)


def test_every_domain_is_read_or_excused(meter):
    sample = meter.read(0)
    names = [domain.name for domain in meter.coverage.domains]
    assert len(names) == len(set(names)) > 0
    assert set(sample.energy_uj) | set(sample.failed) == set(names)
    assert set(sample.energy_uj).isdisjoint(sample.failed)
    assert sample.time_ns == 0
    assert all(isinstance(energy, int) for energy in sample.energy_uj.values())


def test_what_lies_inside_lies_in_something_known(meter):
    names = {domain.name for domain in meter.coverage.domains}
    assert all(
        not d.inside or (d.inside in names and d.inside != d.name) for d in meter.coverage.domains
    )


def test_it_says_whether_it_measures(meter):
    assert {domain.origin for domain in meter.coverage.domains} <= {
        Origin.MEASURED,
        Origin.MODELLED,
    }
    assert meter.coverage.source
    assert meter.name


def test_energy_between_two_reads_is_not_negative_and_has_a_scope(meter):
    before = meter.read(0)
    delta = energy_delta(meter.coverage, before, meter.read(SECOND))
    assert all(energy >= 0 for energy in delta.energy_uj.values())
    for domain in meter.coverage.domains:
        scope = delta.scope(domain.scope)
        assert scope is not None
        assert scope.origin is domain.origin
    total = delta.outermost
    assert total is not None
    assert total.origin is meter.coverage.origin


def test_closing_twice_is_no_mistake(meter):
    meter.read(0)
    meter.close()
    meter.close()
