"""Goal: docs/power-model.md says what the code computes."""

import re
from pathlib import Path

from inference.experiments.greener import greener_targets
from inference.experiments.power_calibration import calibration_targets

DOCUMENT = Path(__file__).parents[4] / "docs" / "power-model.md"


def test_the_table_is_what_is_computed():
    rows = re.findall(
        r"^\| ((?:EN|GR)\S+) \|.*\| (\S+) \| (yes|no) \|$",
        DOCUMENT.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    computed = [
        (
            target.id,
            f"{target.ours:.3g}" if target.ours < 1000 else f"{target.ours:.0f}",
            "yes" if target.met else "no",
        )
        for target in (*calibration_targets(), *greener_targets())
    ]
    assert rows == computed
