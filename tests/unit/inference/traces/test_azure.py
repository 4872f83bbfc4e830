"""Goal: Azure's traces carry the published figures, and its file format is read to the last digit."""

import numpy as np
import pytest

from inference.errors import TraceError
from inference.traces.azure import azure_2023, read_azure

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


@pytest.mark.parametrize(
    ("service", "requests", "seconds", "prompt_median", "output_median"),
    [("code", 8_819, 3_436, 1_469, 13), ("conv", 19_366, 3_502, 1_020, 129)],
)
def test_published_figures(service, requests, seconds, prompt_median, output_median):
    trace = azure_2023(service)
    assert len(trace) == requests
    assert trace.duration_ns // 10**9 in {seconds - 1, seconds}
    assert round(float(np.median(trace.prompt_tokens))) == prompt_median
    assert round(float(np.median(trace.output_tokens))) == output_median


def test_unknown_service_lists_the_known():
    with pytest.raises(TraceError, match="code, conv, found 'chat'"):
        azure_2023("chat")


def test_hundred_nanosecond_digits(tmp_path):
    path = tmp_path / "azure.csv"
    path.write_text(
        HEADER + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:46.6805901,1,1\n"
        "2023-11-17 00:00:00,2,2\n"
    )
    trace = read_azure(path)
    assert trace.arrival_ns.tolist() == [0, 100, 20_653_319_410_000]
    assert trace.prompt_tokens.tolist() == [374, 1, 2]


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("", "header", "columns' names"),
        (HEADER, "rows", "at least one request"),
        ("TIMESTAMP,ContextTokens\n", "column GeneratedTokens", "found 'TIMESTAMP'"),
        (HEADER + "yesterday,1,1\n", "line 2, column TIMESTAMP", "found 'yesterday'"),
        (HEADER + "2023-11-16 18:15:46.68x,1,1\n", "line 2, column TIMESTAMP", "UTC time"),
        (HEADER + "2023-11-16 18:15:46,NaN,1\n", "line 2, column ContextTokens", "'NaN'"),
        (HEADER + "2023-11-16 18:15:46,1,0\n", "line 2, column GeneratedTokens", "from 1"),
        (HEADER + "2023-11-16 18:15:46,1\n", "line 2", "expected 3 cells as in the header"),
        (
            HEADER + "2023-11-16 18:15:46,1,1\n2023-11-16 18:15:45,1,1\n",
            "line 3, column TIMESTAMP",
            "in order",
        ),
    ],
)
def test_bad_file_names_row_and_column(tmp_path, text, key, expected):
    path = tmp_path / "azure.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        read_azure(path)
    assert caught.value.source == str(path)
    assert caught.value.key == key
    assert expected in caught.value.expected
