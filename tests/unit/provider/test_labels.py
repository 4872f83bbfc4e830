import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider import labels

MIN, MAX, FACTOR = (f"com.openfaas.scale.{name}" for name in ("min", "max", "factor"))


@pytest.mark.parametrize(
    ("given_labels", "replicas"),
    [({}, 1), ({MIN: "2"}, 2), ({MIN: "0"}, 1), ({MIN: "x"}, 1), ({MIN: "-3"}, 1), ({MIN: "²"}, 1)],
)
def test_minimum(given_labels: dict[str, str], replicas: int) -> None:
    assert labels.replicas_min(given_labels) == replicas


@pytest.mark.parametrize(
    ("status", "replicas", "given_labels", "wanted"),
    [
        ("firing", 1, {}, 2),  # ceil(5 / 100 * 10)
        ("firing", 5, {}, None),
        ("firing", 1, {MAX: "20", FACTOR: "20"}, 5),
        ("firing", 18, {MAX: "20", FACTOR: "20"}, 20),
        ("firing", 1, {MAX: "2", FACTOR: "100"}, 2),
        ("firing", 1, {FACTOR: "0"}, None),
        ("firing", 1, {FACTOR: "101"}, None),
        ("resolved", 5, {MIN: "2"}, 2),
        ("resolved", 1, {}, None),
        ("anything", 3, {}, 1),
        ("firing", 3, {MIN: "3", MAX: "2"}, None),
    ],
)
def test_alerts(
    status: str, replicas: int, given_labels: dict[str, str], wanted: int | None
) -> None:
    assert labels.after_alert(status, replicas, given_labels) == wanted


@given(
    st.sampled_from(["firing", "resolved"]),
    st.integers(0, 50),
    st.dictionaries(st.sampled_from([MIN, MAX, FACTOR]), st.integers(0, 200).map(str) | st.text()),
)
def test_alerts_stay_in_bounds(status: str, replicas: int, given_labels: dict[str, str]) -> None:
    wanted = labels.after_alert(status, replicas, given_labels)
    if wanted is not None:
        assert labels.replicas_min(given_labels) <= wanted <= labels.replicas_max(given_labels)
        assert wanted != replicas
