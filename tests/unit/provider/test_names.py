import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider import names
from provider.reply import Refusal


@pytest.mark.parametrize(
    ("name", "body", "query", "expected"),
    [
        ("fn", "", "", ("fn", "openfaas-fn")),
        ("fn.team", "", "", ("fn", "team")),
        ("a.b.team", "", "", ("a.b", "team")),
        ("fn", "team", "other", ("fn", "team")),
        ("fn", "", "team", ("fn", "team")),
        ("fn.team", "team", "", ("fn", "team")),
        ("fn.team", "other", "", ("fn.team", "other")),
        ("fn.", "", "", ("fn.", "openfaas-fn")),
        (".openfaas-fn", "", "", ("", "openfaas-fn")),
        ("", "", "", ("", "openfaas-fn")),
    ],
)
def test_resolve(name: str, body: str, query: str, expected: tuple[str, str]) -> None:
    assert names.resolve(name, body=body, query=query) == expected


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a.b", "a\n", "a" * 64, "é", "a/b"])
def test_services_are_dns_labels(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        names.checked_service(name)
    assert caught.value.status == 400
    assert "must be a valid DNS entry" in caught.value.text
    assert caught.value.text.isprintable()
    with pytest.raises(Refusal, match="not found"):
        names.known(names.FunctionRef(name, "openfaas-fn"))


@pytest.mark.parametrize("name", ["a", "a1", "a-b", "0", "a" * 63])
def test_good_services(name: str) -> None:
    assert names.checked_service(name) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "non-empty name is required"),
        ("a/b", "directory traversal found in name"),
        ("a..b", "directory traversal found in name"),
        ("A", "secret name (A) is invalid, must be a valid DNS subdomain"),
        ("a.", "secret name (a.) is invalid, must be a valid DNS subdomain"),
    ],
)
def test_secrets(name: str, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        names.checked_secret(name)
    assert (caught.value.status, caught.value.text) == (400, text)
    assert names.checked_secret("api-key.v1") == "api-key.v1"


@given(st.text())
def test_nothing_climbs_out(name: str) -> None:
    for check in (names.checked_service, names.checked_secret, names.checked_namespace):
        try:
            good = check(name)
        except Refusal:
            continue
        assert "/" not in good
        assert ".." not in good
        assert good.isascii()
        assert good
