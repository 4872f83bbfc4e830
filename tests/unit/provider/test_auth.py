import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.auth import BasicAuth, is_protected
from provider.credentials import Credentials


async def unreachable(scope: object, receive: object, send: object) -> None:
    raise AssertionError


AUTH = BasicAuth(unreachable, Credentials("admin", "s3cret:with:colons"))


def header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_account() -> None:
    assert AUTH.accepts(header("admin", "s3cret:with:colons"))
    assert AUTH.accepts(header("admin", "s3cret:with:colons").replace("Basic", "bAsIc"))


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Basic",
        "Basic ",
        "Bearer ",
        "Bearer token",
        header("admin", ""),
        header("", "s3cret:with:colons"),
        header("admin", "s3cret"),
        header("Admin", "s3cret:with:colons"),
        "Basic " + base64.b64encode(b"admin").decode(),
        "Basic é",
        "Basic " + "A" * 100_000,
    ],
)
def test_anything_else(sent: str) -> None:
    assert not AUTH.accepts(sent)


@given(st.text())
def test_no_header_breaks_it(sent: str) -> None:
    assert not AUTH.accepts(sent)
    assert not AUTH.accepts("Basic " + sent)


@pytest.mark.parametrize(
    ("path", "protected"),
    [
        ("/system/functions", True),
        ("/system/", True),
        ("/system", True),
        ("/system/nosuch", True),
        ("/ui/", True),
        ("/ui", True),
        ("/ui/page.js", True),
        ("/systems", False),
        ("/healthz", False),
        ("/", False),
        ("/function/system/", False),
    ],
)
def test_protected(path: str, protected: bool) -> None:
    assert is_protected(path) is protected
