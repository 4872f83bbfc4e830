"""Goal: searches over splits find the least machines, and ask for each verdict once."""

from inference.experiments.splitwise import search
from inference.experiments.splitwise.search import Setting, Spent, frontier, highest
from inference.sweep.designs import Split


def counts(setting: Setting) -> dict[str, float]:
    return {
        key: float(value) for key, _, value in (one.partition("=") for one in setting.overrides)
    }


def fake(monkeypatch, rule):
    def holds(setting, spent):
        spent.runs += 1
        return rule(counts(setting))

    monkeypatch.setattr(search, "holds", holds)


def test_the_highest_rate_is_the_last_that_holds(monkeypatch):
    fake(monkeypatch, lambda values: values["trace.rate_per_s"] <= 117)
    assert highest(Setting("x"), Spent()) == 117


def test_no_rate_is_none(monkeypatch):
    fake(monkeypatch, lambda values: False)
    assert highest(Setting("x"), Spent()) == 0


def test_the_frontier_has_the_least_prefills_for_each_number_of_decodes(monkeypatch):
    def rule(values):
        prefill, decode = values["replicas.prefill.count"], values["replicas.decode.count"]
        return prefill >= 20 and prefill + 2 * decode >= 34

    fake(monkeypatch, rule)
    spent = Spent()
    found = list(frontier(Setting("x"), range(1, 10), 40, spent))
    assert found == [Split(max(20, 34 - 2 * decode), decode) for decode in range(1, 10)]
    assert spent.runs < 9 * 8


def test_decodes_that_nothing_makes_up_for_are_left_out(monkeypatch):
    fake(
        monkeypatch,
        lambda values: (
            values["replicas.decode.count"] >= 3 and values["replicas.prefill.count"] >= 5
        ),
    )
    assert list(frontier(Setting("x"), range(1, 5), 9, Spent())) == [Split(5, 3), Split(5, 4)]
