"""Goal: SW7, SW9, SW12 and SW13 turn red under models that are wrong on purpose, and quoted constants are called quoted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from inference.experiments.outcome import Target
from inference.experiments.splitwise import phases, throughput
from inference.experiments.splitwise.search import Setting
from inference.models.cost import MachineFigures
from inference.models.latency import latency_model
from inference.models.protocols import LatencyModel
from inference.models.provenance import Origin

ECHOES = {"SW9-a100-80gb-visible", "SW9-h100-80gb-visible", "SW13-cap-decode", "SW13-cap-prefill"}


@dataclass(frozen=True)
class Slower:
    """A latency model off by a factor in each phase, and blind to batches if so told."""

    right: LatencyModel
    prefill: float = 1.0
    decode: float = 1.0
    flat: bool = False

    def prefill_ns(self, tokens: int, context_tokens: int) -> int:
        return round(self.prefill * self.right.prefill_ns(tokens, context_tokens))

    def decode_ns(self, batch: int, context_tokens: int, iterations: int) -> int:
        batch, context_tokens = (1, 512) if self.flat else (batch, context_tokens)
        return round(self.decode * self.right.decode_ns(batch, context_tokens, iterations))


def red(targets: Sequence[Target]) -> set[str]:
    return {one.id for one in targets if not one.met}


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(**off: float) -> None:
        def model(*asked: object) -> LatencyModel:
            return Slower(latency_model(*asked), **off)  # type: ignore[arg-type, return-value]

        monkeypatch.setattr(phases, "latency_model", model)

    return install


def test_slow_requests_show_in_the_transfers(wrong: Callable[..., None]) -> None:
    assert red(phases.transfers()) == set()
    wrong(prefill=1.3, decode=1.3)
    assert {"SW9-a100-80gb-e2e", "SW9-h100-80gb-e2e", "SW9-second"} <= red(phases.transfers())


@pytest.mark.parametrize(
    ("off", "figure"), [({"prefill": 1.3}, "ttft_ms"), ({"decode": 1.3}, "e2e_ms")]
)
def test_slow_machines_show_in_their_own_figures(
    wrong: Callable[..., None], off: dict[str, float], figure: str
) -> None:
    wrong(**off)
    of_figure = {one.id for one in phases.machines_alone() if one.id.endswith(figure)}
    assert len(of_figure) == 4
    assert of_figure <= red(phases.machines_alone())


def test_a_decode_that_no_batch_slows_is_caught(wrong: Callable[..., None]) -> None:
    batches = {"SW13-a100-80gb-batch", "SW13-h100-80gb-batch"}
    assert not batches & red(phases.bloom_facts())
    wrong(flat=True)
    assert batches <= red(phases.bloom_facts())


def test_the_rule_of_thumb_is_not_widened_to_what_was_found() -> None:
    """The authors' rows give 8.1 and 5.1 decode iterations where the paper says 6: bounds that hold both judge nothing."""
    assert {"SW13-a100-80gb-prefill", "SW13-h100-80gb-prefill"} <= red(phases.bloom_facts())


def test_constants_of_the_paper_are_quoted_and_say_so() -> None:
    targets = {one.id: one for one in (*phases.transfers(), *phases.bloom_facts())}
    assert {name for name, one in targets.items() if one.provenance is Origin.QUOTED} == ECHOES
    assert all("not reproduction" in targets[name].note for name in ECHOES)


def test_nothing_computed_is_called_measured() -> None:
    (accuracy,) = phases.table_accuracy()
    assert accuracy.provenance is Origin.MODELLED
    assert accuracy.high < 3.0


@pytest.mark.parametrize(
    ("kept", "met"),
    [({}, True), (dict.fromkeys(throughput.LOSSES, 1.0), False), ({"aa": 0.93, "hh": 0.93}, False)],
)
def test_designs_that_lose_are_told_from_those_that_do_not(
    monkeypatch: pytest.MonkeyPatch, kept: dict[str, float], met: bool
) -> None:
    """Each design alone passes with 0 and with -7 %; the difference does not."""
    right = {"aa": 1.0, "hh": 1.0, "ha": 0.93, "hhcap": 0.93}

    def measure(setting: Setting) -> throughput.Measured:
        design = setting.scenario.rpartition("-")[2]
        moved = "trace.lengths=conv" in setting.overrides
        rate = 100.0 * (({**right, **kept})[design] if moved else 1.0)
        return throughput.Measured(setting, rate, MachineFigures(1.0, 1.0), 1, "", 0.0)

    monkeypatch.setattr(throughput, "measure", measure)
    targets = throughput.changed_load("table")
    assert all(one.met for one in targets[:-1])
    assert targets[-1].id == "SW7-difference-table"
    assert targets[-1].met is met


def test_machine_counts_alone_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = MachineFigures(1.0, 1.0)
    fake = partial(throughput.Measured, figures=figures, machines=1, split="", cpu_s=0.0)
    monkeypatch.setattr(
        throughput, "measure", lambda setting, rates=(): fake(setting=setting, rate_per_s=1.0)
    )
    targets = (*throughput.iso_power("table"), *throughput.iso_cost("table"))
    quoted = {one.id for one in targets if one.provenance is Origin.QUOTED}
    assert quoted == {"SW2-ha-cost-table", "SW3-power-table", "SW3-space-table"}
    assert not any(one.met for one in targets if one.id in quoted), (
        "equal counts are no figure of the paper"
    )
