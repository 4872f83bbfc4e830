from pathlib import Path

import pytest

from inference.errors import ScenarioError
from inference.row.result import statistics_of
from inference.row.scenario import FILES
from inference.row.training import TrainingRow, load_training, shipped_training

SQUARE = TrainingRow("test", 10, 100.0, 1, 0, 0.9, 0.3, 10.0, 4.0, 0.0)


def test_all_servers_swing_together() -> None:
    power_w = SQUARE.power_w(100.0, lambda gpus_w: gpus_w + 5.0)
    assert power_w[:10].tolist() == pytest.approx([950.0] * 6 + [350.0] * 4)
    found = statistics_of(power_w, SQUARE.provisioned_w)
    assert found.peak == pytest.approx(0.95)
    assert found.rise_2s == pytest.approx(0.60)


def test_a_swing_inside_a_second_is_averaged() -> None:
    odd = TrainingRow("test", 1, 100.0, 1, 0, 1.0, 0.0, 2.5, 1.25, 0.0)
    power_w = odd.power_w(100.0, lambda gpus_w: gpus_w)
    assert power_w[:5].tolist() == pytest.approx([100.0, 25.0, 50.0, 75.0, 0.0])
    assert power_w.mean() == pytest.approx(50.0)


def test_the_shipped_row_loads_and_jitters_by_its_seed() -> None:
    row = shipped_training()
    first = row.power_w(3200.0, lambda gpus_w: gpus_w)
    assert (first == row.power_w(3200.0, lambda gpus_w: gpus_w)).all()
    assert first.std() > 0


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("exchange_s = 4.0", "exchange_s = 40.0", "training.exchange_s"),
        ("jitter", "jetter", "training.jetter"),
        ("[training]", "[row]", "row"),
        ("servers = 40", "servers = -1", "training.servers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = (FILES / "polca-training.toml").read_text(encoding="utf-8")
    path = tmp_path / "training.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ScenarioError) as error:
        load_training(path)
    assert error.value.key == key
