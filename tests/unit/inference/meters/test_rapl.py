"""Goal: each zone of the powercap tree counts for what it is, on Intel and AMD, and a refusal names its mend."""

from pathlib import Path

import pytest

from inference.errors import HardwareAbsent, HardwareDenied, HardwareError
from inference.meters.delta import Continuity, energy_delta
from inference.meters.protocols import Scope
from inference.meters.rapl import RaplMeter
from inference.models.provenance import Origin
from tests.unit.inference.meters import trees

SECOND = 1_000_000_000


def test_two_intel_packages_with_memory_beside_them(tmp_path):
    meter = RaplMeter(trees.intel_two_packages(tmp_path))
    found = {domain.name: domain for domain in meter.coverage.domains}
    assert len(meter.coverage.domains) == 4, "the packages through MMIO are no others"
    assert set(found) == {"package-0", "package-0/dram", "package-1", "package-1/dram"}
    assert found["package-1"].wraps_at_uj == trees.INTEL_UJ
    assert found["package-1/dram"].scope is Scope.DRAM
    assert all(domain.inside == "" for domain in found.values())
    assert meter.coverage.origin is Origin.MEASURED
    assert meter.read(7).energy_uj == {
        "package-0": 1_000_000,
        "package-0/dram": 2_000_000,
        "package-1": 1_000_000,
        "package-1/dram": 2_000_000,
    }
    meter.close()


def test_a_laptops_parts_lie_inside_each_other(tmp_path):
    meter = RaplMeter(trees.intel_client(tmp_path))
    inside = {domain.name: domain.inside for domain in meter.coverage.domains}
    assert inside == {
        "package-0": "psys",
        "package-0/core": "package-0",
        "package-0/uncore": "package-0",
        "psys": "",
    }


def test_amds_single_core_is_not_taken_for_its_cores(tmp_path):
    host = trees.amd(tmp_path)
    meter = RaplMeter(host)
    assert [domain.name for domain in meter.coverage.domains] == ["package-0"]
    before = meter.read(0)
    trees.zone(host, "intel-rapl:0", "package-0", trees.AMD_UJ, 400_000_000)
    delta = energy_delta(meter.coverage, before, meter.read(5 * SECOND))
    assert delta.energy_uj["package-0"] == 400_000_000 + trees.AMD_UJ - 65_532_000_000
    assert delta.continuity["package-0"] is Continuity.WRAPPED
    assert 200 > delta.power_w("package-0") > 80


def test_dies_and_unknown_zones(tmp_path):
    host = trees.roots(tmp_path)
    trees.zone(host, "intel-rapl:0", "package-0-die-0", trees.INTEL_UJ, 0)
    trees.zone(host, "intel-rapl:1", "package-0-die-1", trees.INTEL_UJ, 0)
    trees.zone(host, "intel-rapl:2", "novelty", trees.INTEL_UJ, 0)
    trees.zone(host, "intel-rapl:2:0", "dram", trees.INTEL_UJ, 0)
    names = [domain.name for domain in RaplMeter(host).coverage.domains]
    assert names == ["package-0-die-0", "package-0-die-1", "novelty/dram"]


def test_a_virtual_machine_has_none_and_is_told_what_to_do(tmp_path):
    with pytest.raises(HardwareAbsent, match="power curve"):
        RaplMeter(trees.virtual_machine(tmp_path))


def test_a_denied_counter_names_the_file_and_the_mend(tmp_path, monkeypatch):
    host = trees.intel_two_packages(tmp_path)
    whole = Path.read_text

    def read_text(self, *arguments, **options):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.raises(HardwareDenied, match=r"intel-rapl:0/energy_uj.*run as root.*chmod a\+r"):
        RaplMeter(host)


def test_a_counter_that_fails_later_is_named_and_the_others_go_on(tmp_path):
    host = trees.intel_two_packages(tmp_path)
    meter = RaplMeter(host)
    (host.sys / "class/powercap/intel-rapl:0/energy_uj").unlink()
    sample = meter.read(1)
    assert "package-0" not in sample.energy_uj
    assert "No such file" in sample.failed["package-0"]
    assert len(sample.energy_uj) == 3


def test_when_all_counters_fail_the_read_does(tmp_path):
    host = trees.amd(tmp_path)
    meter = RaplMeter(host)
    (host.sys / "class/powercap/intel-rapl:0/energy_uj").write_text("nonsense\n")
    with pytest.raises(HardwareError, match="'nonsense'; expected one integer"):
        meter.read(1)
