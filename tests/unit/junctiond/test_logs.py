"""Goal: no line is lost or cut, whatever the keeper does with its files."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from junctiond.domain import LogQuery
from junctiond.logs import LINE_BYTES_MAX, FunctionLogs, Joiner


class Keeper:
    """Writes and rotates a log as jsandbox does."""

    def __init__(self, root: Path, sandbox: str = "f.1", name: str = "f") -> None:
        self.path = root / "openfaas-fn" / name / f"{sandbox}.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, t: int, text: str, stream: str = "out", partial: bool = False) -> None:
        entry = {"t": t, "s": stream, "m": text} | ({"p": True} if partial else {})
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def rotate(self) -> None:
        self.path.replace(self.path.with_name(self.path.name + ".1"))


async def texts(logs: FunctionLogs, query: LogQuery) -> list[str]:
    return [record.text async for record in logs.read(query)]


async def test_replicas_are_merged_by_time(tmp_path: Path):
    one, two = Keeper(tmp_path, "f.1"), Keeper(tmp_path, "f.2")
    for t in range(6):
        (one if t % 2 else two).write(t, str(t))
    logs = FunctionLogs(tmp_path)
    assert await texts(logs, LogQuery("f")) == list("012345")
    assert await texts(logs, LogQuery("f", tail=2)) == ["4", "5"]
    assert await texts(logs, LogQuery("f", since_ns=3)) == ["3", "4", "5"]
    assert await texts(logs, LogQuery("f", instance="f.1")) == ["1", "3", "5"]
    assert await texts(logs, LogQuery("none")) == []


async def test_a_rotated_log_begins_with_its_forerunner(tmp_path: Path):
    keeper = Keeper(tmp_path)
    keeper.write(1, "a")
    keeper.rotate()
    keeper.write(2, "b")
    assert await texts(FunctionLogs(tmp_path), LogQuery("f")) == ["a", "b"]


async def test_partial_records_become_one_line_per_stream(tmp_path: Path):
    keeper = Keeper(tmp_path)
    keeper.write(1, "a", partial=True)
    keeper.write(2, "x", stream="err")
    keeper.rotate()
    keeper.write(3, "b")
    with keeper.path.open("a") as file:
        file.write("damaged\n")
    records = [record async for record in FunctionLogs(tmp_path).read(LogQuery("f"))]
    assert [(r.text, r.stream, r.timestamp_ns) for r in records] == [
        ("x", "stderr", 2),
        ("ab", "stdout", 1),
    ]


def test_a_line_without_end_comes_in_parts():
    joiner = Joiner("f", "n", "i")
    part = json.dumps({"t": 1, "s": "out", "m": "x" * 16_384, "p": True}).encode()
    lines = [line for _ in range(200) if (line := joiner.add(part))]
    assert len(lines) == 200 * 16_384 // LINE_BYTES_MAX
    assert all(len(line.text) == LINE_BYTES_MAX for line in lines)


@pytest.mark.parametrize("rotations", [0, 1, 2])
async def test_following_sees_every_line_over_rotations_and_new_replicas(tmp_path: Path, rotations):
    keeper = Keeper(tmp_path, "f.1")
    keeper.write(1, "0")
    deployed = True
    reading = FunctionLogs(tmp_path).read(LogQuery("f", follow=True), lambda: deployed)
    async with aclosing(reading) as records:
        assert (await anext(records)).text == "0"
        number = 1
        for _ in range(rotations):
            keeper.write(number, str(number))
            keeper.rotate()
            number += 1
        keeper.write(number, str(number))
        for expected in range(1, number + 1):
            async with asyncio.timeout(5):
                assert (await anext(records)).text == str(expected)
        Keeper(tmp_path, "f.2").write(99, "other")
        async with asyncio.timeout(5):
            assert (await anext(records)).text == "other"
        keeper.write(100, "last")
        deployed = False
        assert [record.text async for record in records] == ["last"]


async def test_half_a_record_waits_for_its_rest(tmp_path: Path):
    keeper = Keeper(tmp_path)
    keeper.write(1, "a")
    with keeper.path.open("a") as file:
        file.write('{"t":2,"s":"out",')
    async with aclosing(FunctionLogs(tmp_path).read(LogQuery("f", follow=True))) as records:
        assert (await anext(records)).text == "a"
        with keeper.path.open("a") as file:
            file.write('"m":"b"}\n')
        assert (await anext(records)).text == "b"


def test_old_logs_go_and_living_ones_stay(tmp_path: Path):
    for number in range(5):
        Keeper(tmp_path, f"f.{number}").write(number, "x")
    logs = FunctionLogs(tmp_path)
    logs.prune("openfaas-fn", "f", 1, {"f.0"})
    left = sorted(path.stem for path in (tmp_path / "openfaas-fn" / "f").iterdir())
    assert len(left) == 2
    assert "f.0" in left
    assert logs.last_lines("openfaas-fn", "f", "f.0", 5) == ["x"]
    logs.delete("openfaas-fn", "f")
    assert logs.last_lines("openfaas-fn", "f", "f.0", 5) == []
