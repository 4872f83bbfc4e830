"""Goal: every reference that users write is read as docker reads it, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.images.reference import InvalidReference, LocalReference, RegistryReference, parse

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full", "source"),
    [
        ("alpine", "docker.io/library/alpine:latest", "docker://docker.io/library/alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "docker://docker.io/library/alpine:3.20"),
        (
            "functions/env",
            "docker.io/functions/env:latest",
            "docker://docker.io/functions/env:latest",
        ),
        (
            "docker.io/alpine",
            "docker.io/library/alpine:latest",
            "docker://docker.io/library/alpine:latest",
        ),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "docker://docker.io/a/b:latest"),
        ("127.0.0.1:5000/aes", "127.0.0.1:5000/aes:latest", "docker://127.0.0.1:5000/aes:latest"),
        ("[::1]:5000/aes:v1", "[::1]:5000/aes:v1", "docker://[::1]:5000/aes:v1"),
        ("localhost/x", "localhost/x:latest", "docker://localhost/x:latest"),
        ("docker://ghcr.io/o/f:1", "ghcr.io/o/f:1", "docker://ghcr.io/o/f:1"),
        # A digest says all; skopeo refuses a tag beside it.
        (f"a.b/x:1@sha256:{HEX}", f"a.b/x:1@sha256:{HEX}", f"docker://a.b/x@sha256:{HEX}"),
        ("oci:/a/b", "oci:/a/b", "oci:/a/b"),
        ("oci:/a/b:v1", "oci:/a/b:v1", "oci:/a/b:v1"),
        ("oci-archive:/a/b.tar", "oci-archive:/a/b.tar", "oci-archive:/a/b.tar"),
        (
            "docker-archive:/a.tar:x/y:1",
            "docker-archive:/a.tar:x/y:1",
            "docker-archive:/a.tar:x/y:1",
        ),
    ],
)
def test_references_are_read_as_docker_reads_them(text, full, source):
    reference = parse(text)
    assert str(reference) == full
    assert reference.source() == source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("Alpine", "no valid repository"),
        ("a b", "blank"),
        ("a\nb", "blank"),
        ("alpine:", "no valid tag"),
        ("alpine:-x", "no valid tag"),
        ("alpine@sha256:12", "no valid digest"),
        ("-flag", "no valid repository"),
        ("--help/x", "no valid repository"),
        ("a..b/x/..", "no valid registry"),
        ("exa_mple.org/x", "no valid registry"),
        ("oci:relative", "absolute path"),
        ("oci:", "absolute path"),
        ("oci:/x:bad tag", "blank"),
        ("x" * 5000, "longer"),
        ("a/" + "b" * 300, "no valid repository"),
    ],
)
def test_impossible_references_are_named(text, said):
    with pytest.raises(InvalidReference, match=said):
        parse(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:5000/x", True),
        ("127.1.2.3/x", True),
        ("localhost:5000/x", True),
        ("[::1]:5000/x", True),
        ("10.0.0.1:5000/x", False),
        ("localhost.example.org/x", False),
        ("127.0.0.1.example.org/x", False),
        ("alpine", False),
    ],
)
def test_only_this_machine_may_be_spoken_to_without_tls(text, loopback):
    reference = parse(text)
    assert isinstance(reference, RegistryReference)
    assert reference.loopback is loopback


@given(st.text(max_size=80))
def test_any_text_gives_a_reference_or_one_error(text):
    try:
        reference = parse(text)
    except InvalidReference:
        return
    # What is read is stable, and can never be taken for an option or a second argument of a program.
    assert str(parse(str(reference))) == str(reference)
    assert reference.source().startswith(
        ("docker://", "oci:/", "oci-archive:/", "docker-archive:/")
    )
    assert isinstance(reference, RegistryReference | LocalReference)
