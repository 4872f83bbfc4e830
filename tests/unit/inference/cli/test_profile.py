"""Goal: the explorer's surface, its cheapest setting and where its figures come from reach the user in every form."""

import csv
import json
import sys

import pytest

from inference.cli import app


@pytest.fixture
def jsim(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jsim", "profile", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


def test_the_cheapest_setting_is_said_with_its_provenance(jsim, tmp_path):
    status, out, _ = jsim(
        "llama2-70b", "h100-80gb", "--batch", "16", "--batch", "32", "--tbt-ms", "60", "--out", "p"
    )
    assert status == 0
    assert "least energy_j_per_token within the limits: TP" in out
    assert "modelled by junctiond, fitted to measurements by the Splitwise authors" in out
    rows = list(csv.DictReader((tmp_path / "p" / "profile.csv").read_text().splitlines()))
    assert {row["tp"] for row in rows} == {"2", "4", "8"}
    assert {row["origin"] for row in rows} == {"modelled"}
    assert (tmp_path / "p" / "profile.png").is_file()


def test_json_holds_the_whole_surface(jsim):
    _, out, _ = jsim("llama2-70b", "h100-80gb", "--tp", "8", "--batch", "8", "--json")
    document = json.loads(out)
    assert len(document["surface"]["tp"]) == len(document["surface"]["tbt_ms"]) == 7
    assert document["cheapest"]["tp"] == 8
    assert document["provenance"]["latency tp8"]["origin"] == "modelled"


def test_limits_that_nothing_holds_are_said(jsim):
    status, out, _ = jsim("llama2-70b", "h100-80gb", "--tp", "8", "--tbt-ms", "1")
    assert status == 0
    assert "no setting that fits into memory holds the limits" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["llama2-70b", "h100"], "expected one of"),
        (["llama2-7b", "h100-80gb"], "nobody profiled llama2-7b on h100-80gb"),
        (["llama2-70b", "h100-80gb", "--tp", "3"], "expected one of"),
        (["llama2-70b", "h100-80gb", "--by", "beauty"], "expected a column of"),
        (["llama2-70b", "h100-80gb", "--prompt", "9" * 20], "'--prompt': Input should be less"),
        (["llama2-70b", "h100-80gb", "--output", "9" * 20], "'--output': Input should be less"),
        (["llama2-70b", "h100-80gb", "--batch", "9" * 20], "'--batch': Input should be less"),
    ],
)
def test_what_nobody_profiled_is_one_line(jsim, arguments, said):
    status, _, err = jsim(*arguments)
    assert status == 2
    assert said in err.strip().splitlines()[-1]
