"""Goal: documents of a registry become legal values or one error, whatever they hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.images.limits import LAYERS_MAX
from junctiond.images.manifest import (
    Descriptor,
    InvalidManifest,
    choose,
    digest_of,
    parse_config,
    parse_manifest,
)

A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


def document(**fields: object) -> bytes:
    return json.dumps({"schemaVersion": 2, **fields}).encode()


def entry(digest: str, architecture: str | None, os: str = "linux") -> dict[str, object]:
    platform = {"platform": {"architecture": architecture, "os": os}} if architecture else {}
    return {"digest": digest, "size": 7, **platform}


def test_an_index_gives_the_image_of_this_machine():
    index = document(manifests=[entry(A, "arm64"), entry(B, "amd64")])
    assert choose(index, "amd64") == Descriptor(B, 7)
    assert choose(index, "arm64") == Descriptor(A, 7)


def test_an_index_without_this_machine_says_what_it_has():
    index = document(manifests=[entry(A, "arm64"), entry(B, "unknown", "unknown")])
    with pytest.raises(InvalidManifest, match="no image for linux/amd64, only for linux/arm64"):
        choose(index, "amd64")


def test_an_entry_without_a_platform_fits():
    assert choose(document(manifests=[entry(A, None)]), "amd64") == Descriptor(A, 7)


def test_a_manifest_is_no_index():
    data = document(config=entry(A, None), layers=[entry(B, None)])
    assert choose(data, "amd64") is None
    assert parse_manifest(data).layers == (Descriptor(B, 7),)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (b"[]", "cannot be read"),
        (document(), "no configuration or no layers"),
        (json.dumps({"schemaVersion": 1}).encode(), "retired schema 1"),
        (document(config=entry("sha256:x", None), layers=[]), "no valid digest"),
        (document(config={"digest": A, "size": -1}, layers=[]), "negative size"),
        (document(config={"digest": A, "size": 1 << 40}, layers=[]), "configuration is larger"),
        (document(config=entry(A, None), layers=[entry(B, None)] * (LAYERS_MAX + 1)), "at most"),
        (
            document(config=entry(A, None), layers=[{"digest": B, "size": 1 << 40}]),
            "layers are larger",
        ),
        (document(config=entry("sha256:../../../etc/passwd", None), layers=[]), "no valid digest"),
    ],
)
def test_broken_manifests_are_named(data, said):
    with pytest.raises(InvalidManifest, match=said):
        parse_manifest(data)


def test_a_configuration_is_read_whole():
    parsed = parse_config(
        json.dumps(
            {
                "config": {
                    "Entrypoint": ["/a"],
                    "Cmd": None,
                    "Env": ["A=1", "B=x=y"],
                    "WorkingDir": "/w",
                    "User": "app:staff",
                    "ExposedPorts": {"8080/tcp": {}, "3000": {}, "53/udp": {}},
                    "Labels": {"k": "v"},
                },
                "rootfs": {"type": "layers", "diff_ids": [A, B]},
                "history": [{"empty_layer": True}],
            }
        ).encode()
    )
    config = parsed.config
    assert (config.entrypoint, config.cmd, config.env) == (("/a",), (), ("A=1", "B=x=y"))
    assert (config.workdir, config.user, config.exposed_ports) == ("/w", "app:staff", (3000, 8080))
    assert (config.labels, parsed.diff_ids) == ({"k": "v"}, (A, B))


@pytest.mark.parametrize(
    "run",
    [
        {"ExposedPorts": {"0/tcp": {}}},
        {"ExposedPorts": {"99999/tcp": {}}},
        {"ExposedPorts": {"http": {}}},
        {"Env": ["A=\0"]},
        {"Cmd": "text"},
    ],
)
def test_impossible_configurations_are_refused(run):
    with pytest.raises(InvalidManifest):
        parse_config(json.dumps({"config": run}).encode())


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_value_or_one_error(data):
    for read in (
        lambda: choose(data, "amd64"),
        lambda: parse_manifest(data),
        lambda: parse_config(data),
    ):
        try:
            read()
        except InvalidManifest:
            continue


def test_digests_are_written_as_manifests_write_them():
    assert digest_of(b"").startswith("sha256:e3b0c442")
