import pytest

from inference.policies.dynamo.classes import TABLE_IV
from inference.policies.dynamo.loads import MEMORY_S, LoadBook
from inference.policies.dynamo.spill import Equivalence
from inference.policies.dynamo.survey import survey
from tests.unit.inference.dynamo.fake_hardware import BENCH, workloads

_S = 10**9


def _steady(book: LoadBook, per_s: float, until_s: int) -> None:
    gap_ns = round(_S / per_s)
    for at_ns in range(gap_ns, until_s * _S + 1, gap_ns):
        book.routed(0, 4, 4, at_ns)


@pytest.mark.parametrize("until_s", [10, 60, 600])
def test_a_steady_load_is_told_right_from_the_start(until_s):
    book = LoadBook(9)
    _steady(book, 4.0, until_s)
    assert book.load(0, until_s * _S) == pytest.approx(4.0, rel=0.1)


def test_a_load_that_ends_is_forgotten():
    book = LoadBook(9)
    _steady(book, 4.0, 100)
    assert book.load(0, 100 * _S + round(5 * MEMORY_S * _S)) < 0.1
    book.keep([7])
    assert book.load(0, 101 * _S) == 0.0


def test_one_request_is_not_a_flood():
    book = LoadBook(9)
    book.routed(0, 0, 0, 50 * _S)
    assert book.load(0, 50 * _S) < 0.5


def test_arrivals_are_rates_since_the_last_call():
    book = LoadBook(3)
    assert book.take_arrivals(0) is None
    for _ in range(10):
        book.arrived(2)
    assert book.take_arrivals(5 * _S) == [0.0, 0.0, 2.0]
    assert book.take_arrivals(10 * _S) == [0.0, 0.0, 0.0]


def test_a_spilled_request_weighs_what_it_takes():
    profile = survey(workloads(), BENCH, (8,), (1980,))
    book = LoadBook(9, Equivalence(profile, TABLE_IV))
    book.routed(0, 0, 8, _S)
    book.routed(1, 8, 8, _S)
    small, own = book.load(0, _S), book.load(1, _S)
    assert small / own == pytest.approx(profile.load_max(8, 8) / profile.load_max(0, 8))
