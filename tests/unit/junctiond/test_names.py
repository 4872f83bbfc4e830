import pytest

from junctiond import names
from junctiond.errors import HostError, Reason


@pytest.mark.parametrize("name", ["a", "a-b", "0", "x" * 63])
def test_labels(name):
    assert names.check_function(name) == name
    assert names.check_namespace(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "a-", "a.b", "a/b", "..", "x" * 64, "a\n", "ä", "a_b"]
)
def test_what_is_no_label(name):
    with pytest.raises(HostError, match="DNS label") as caught:
        names.check_function(name)
    assert caught.value.reason is Reason.BAD_NAME
    with pytest.raises(HostError):
        names.check_namespace(name)


@pytest.mark.parametrize("name", ["a", "tls.crt", "a-1.b-2"])
def test_secret_names(name):
    assert names.check_secret(name) == name


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a..b", "../x", "A", "x." * 140 + "x"])
def test_what_is_no_secret_name(name):
    with pytest.raises(HostError) as caught:
        names.check_secret(name)
    assert caught.value.reason is Reason.SECRET_INVALID
