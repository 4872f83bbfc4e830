from pathlib import Path

from loadtests.plot import hops, latencies, latency_cdf
from tests.unit.loadtests.test_report import records


def test_plot_is_a_picture(tmp_path: Path) -> None:
    samples = {"bare": [40.0, 50.0, 60.0], "junctiond": [90.0, 100.0, 2000.0]}
    path = latency_cdf(samples, "two cores", tmp_path / "deep" / "latency.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_panel_per_function(tmp_path: Path) -> None:
    samples = {("aes", "bare"): [1.0, 2.0], ("aes", "fd"): [3.0, 4.0], ("epoll", "bare"): [1.0]}
    path = latencies(samples, "two cores", tmp_path / "latency.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_hops_of_the_records(tmp_path: Path) -> None:
    path = hops(records(), "two cores", tmp_path / "hop.png")
    assert path.read_bytes().startswith(b"\x89PNG")
