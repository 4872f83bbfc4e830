from pathlib import Path

from loadtests.plot import latency_cdf


def test_plot_is_a_picture(tmp_path: Path) -> None:
    samples = {"bare": [40.0, 50.0, 60.0], "junctiond": [90.0, 100.0, 2000.0]}
    path = latency_cdf(samples, "two cores", tmp_path / "deep" / "latency.png")
    assert path.read_bytes().startswith(b"\x89PNG")
