"""Log queries, and reading on across a restart of the daemon; no sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.api.base import HostApi
from junctiond.domain import LogQuery, LogRecord
from junctiond.errors import HostError, Reason
from provider import logs
from provider.reply import Refusal

NOW_NS = 1_800_000_000_000_000_000
FIVE_MINUTES_NS = 300 * 10**9


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, LogQuery("", since_ns=NOW_NS - FIVE_MINUTES_NS)),
        ({"name": "a", "tail": "-1"}, LogQuery("a", since_ns=NOW_NS - FIVE_MINUTES_NS)),
        ({"name": "a", "tail": "3"}, LogQuery("a", tail=3)),
        ({"name": "a.team", "tail": "3"}, LogQuery("a", "team", tail=3)),
        ({"name": "a", "namespace": "team", "tail": "3"}, LogQuery("a", "team", tail=3)),
        (
            {"name": "a", "since": "2026-11-22T07:02:35Z"},
            LogQuery("a", since_ns=1_795_330_955_000_000_000),
        ),
        ({"name": "a", "tail": "1", "follow": "true"}, LogQuery("a", tail=1, follow=True)),
        ({"name": "a", "tail": "1", "follow": "maybe"}, LogQuery("a", tail=1)),
        ({"name": "a", "tail": "1", "instance": "i"}, LogQuery("a", tail=1, instance="i")),
        ({"name": "a", "since": "0001-01-01T00:00:00Z"}, LogQuery("a", since_ns=1)),
    ],
)
def test_queries(query: dict[str, str], expected: LogQuery) -> None:
    assert logs.parse(query, NOW_NS) == expected


def parsed(query: dict[str, str]) -> LogQuery | int:
    try:
        return logs.parse(query, NOW_NS)
    except Refusal as refusal:
        return refusal.status


@given(
    st.dictionaries(st.sampled_from(["name", "namespace", "tail", "since", "follow"]), st.text())
)
def test_any_query_is_parsed_or_refused(query: dict[str, str]) -> None:
    found = parsed(query)
    if isinstance(found, int):
        assert found == 422
    else:
        assert 0 <= found.since_ns < 2**63
        assert 0 <= found.tail < 2**63


def record(number: int, at_ns: int) -> LogRecord:
    return LogRecord("a", "openfaas-fn", "a.0", at_ns, f"line {number}", "stdout")


class Restarting:
    """A log whose reader is cut off after a number of records, as often as told."""

    def __init__(self, records: list[LogRecord], cuts: list[int]) -> None:
        self.records = records
        self.cuts = cuts
        self.queries: list[LogQuery] = []

    async def logs(self, query: LogQuery) -> AsyncIterator[LogRecord]:
        self.queries.append(query)
        matching = [one for one in self.records if one.timestamp_ns >= query.since_ns]
        matching = matching[-query.tail :] if query.tail else matching
        cut = self.cuts.pop(0) if self.cuts else None
        for number, one in enumerate(matching):
            if number == cut:
                raise HostError(Reason.HOST_UNAVAILABLE, "restarting")
            yield one
        if cut is not None and cut >= len(matching):
            raise HostError(Reason.HOST_UNAVAILABLE, "restarting")


async def read(host: Restarting, **query: Any) -> list[str]:
    wanted = LogQuery("a", follow=True, **query)
    return [one.text async for one in logs.records(cast("HostApi", host), wanted)]


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
    st.lists(st.integers(0, 6), max_size=5),
)
def test_a_restart_neither_repeats_nor_skips(steps: list[int], cuts: list[int]) -> None:
    at_ns, records = 1, []
    for number, step in enumerate(steps):
        at_ns += step
        records.append(record(number, at_ns))
    found = asyncio.run(_without_waits(read(Restarting(records, list(cuts)))))
    assert found == [one.text for one in records]


async def _without_waits(work: Any) -> Any:
    real = asyncio.sleep

    async def at_once(delay: float) -> None:
        await real(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", at_once)
        return await work


async def test_tail_counts_once() -> None:
    records = [record(number, number + 1) for number in range(5)]
    host = Restarting(records, [1])
    assert await read(host, tail=2) == ["line 3", "line 4"]
    assert [query.tail for query in host.queries] == [2, 0]


async def test_without_follow_a_fault_ends_the_log() -> None:
    host = Restarting([record(0, 1)], [0])
    query = LogQuery("a")
    assert [one async for one in logs.records(cast("HostApi", host), query)] == []
    assert len(host.queries) == 1


def test_a_line() -> None:
    assert logs.line(record(1, 1_795_330_955_901_833_000)) == (
        b'{"name":"a","namespace":"openfaas-fn","instance":"a.0",'
        b'"timestamp":"2026-11-22T07:02:35.901833Z","text":"line 1"}\n'
    )
