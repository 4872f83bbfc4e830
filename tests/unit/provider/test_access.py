import json
import logging

import pytest

from provider.access import call_id_of
from provider.jsonlog import JsonFormatter


@pytest.mark.parametrize("sent", ["7", "a-b-c", "x" * 128])
def test_a_sane_call_id_is_kept(sent: str) -> None:
    assert call_id_of(sent) == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "é", "a\tb", "a\x00"])
def test_any_other_is_replaced(sent: str) -> None:
    assert call_id_of(sent) != sent
    assert len(call_id_of(sent)) == 36


def test_log_lines_are_json_whatever_they_hold() -> None:
    record = logging.LogRecord("provider", logging.INFO, "", 0, 'odd "text"\n', (), None)
    record.fields = {"call_id": "x\n", "status": 200}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert found["event"] == 'odd "text"\n'
    assert (found["call_id"], found["status"], found["level"]) == ("x\n", 200, "info")


def test_tracebacks_stay_on_one_line() -> None:
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("provider", logging.ERROR, "", 0, "failed", (), info)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ZeroDivisionError: why" in json.loads(line)["error"]
