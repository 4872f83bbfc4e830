import pytest

from junctiond.dataplane.statistics import Duration
from junctiond.domain import Deployment, Function
from provider.measures import RequestMeasures, buckets, exposition


def test_buckets_with_and_without_the_last_one() -> None:
    with_last = Duration([0.005, 1, 10], [1, 2, 3, 4], 5.0)
    assert buckets(with_last) == [("0.005", 1), ("1", 2), ("10", 3), ("+Inf", 4)]
    without = Duration([0.005, 10], [1, 3], 5.0)
    assert buckets(without) == [("0.005", 1), ("10", 3), ("+Inf", 3)]
    assert buckets(Duration()) == [("+Inf", 0)]


def test_a_data_plane_that_knows_more_or_less() -> None:
    text = '{"functions":[{"name":"a","namespace":"b","new":1}],"workers":[],"later":{}}'
    found = exposition(RequestMeasures(), text, []).decode()
    assert 'gateway_function_invocation_started{function_name="a.b"} 0.0' in found
    assert exposition(RequestMeasures(), "", [])


def test_service_count_counts_wanted_replicas() -> None:
    function = Function(Deployment("a", "i", "team"), 3, 1, 1, 1)
    found = exposition(RequestMeasures(), "{}", [function]).decode()
    assert 'gateway_service_count{function_name="a.team"} 3.0' in found


def test_label_values_are_escaped() -> None:
    text = '{"functions":[{"name":"a\\"b\\\\\\n","namespace":"c"}]}'
    found = exposition(RequestMeasures(), text, []).decode()
    assert r'function_name="a\"b\\\n.c"' in found


@pytest.mark.parametrize("method", ["BREW", "GET"])
def test_series_are_bounded(method: str) -> None:
    measures = RequestMeasures()
    measures.observe(method, "/system/function/{name}", 200, 1_000_000)
    found = exposition(measures, "{}", []).decode()
    shown = method if method == "GET" else "other"
    assert (
        f'provider_http_requests_total{{code="200",method="{shown}",path="/system/function"}} 1.0'
        in found
    )
