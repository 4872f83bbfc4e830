import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.cleaning import cleaned


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("//a", "/a"),
        ("/a//b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../..", "/"),
        ("", "/"),
        ("///", "/"),
    ],
)
def test_cleaned(path: str, expected: str) -> None:
    assert cleaned(path) == expected


@given(st.text(alphabet="/.ab", max_size=20))
def test_clean_paths_stay_and_never_name_a_host(path: str) -> None:
    once = cleaned(path)
    assert cleaned(once) == once
    assert once.startswith("/")
    assert not once.startswith("//")
