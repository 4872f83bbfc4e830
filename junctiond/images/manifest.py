"""Manifests, indexes and configurations: JSON of a registry, parsed into values that are legal.

Sources: OCI image-spec (manifest.md, image-index.md, config.md) and Docker's image manifest version 2, schema 2, whose
documents differ only in their media types.
"""

import hashlib
import platform
import re
from dataclasses import dataclass

import msgspec

from junctiond.images.base import ImageConfig
from junctiond.images.limits import (
    CONFIG_BYTES_MAX,
    IMAGE_BYTES_MAX,
    LAYERS_MAX,
    MANIFEST_BYTES_MAX,
)

INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PORT = re.compile(r"([0-9]{1,5})(?:/tcp)?")


class InvalidManifest(ValueError):
    """A document that breaks the specification; the message says where."""


class NoImageForThisMachine(InvalidManifest):
    """An index without an image for this host's architecture."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob's digest and length in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image: its configuration and its layers, bottom first as the specification orders them."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """What a launch needs, and the digests of the uncompressed layers, bottom first."""

    config: ImageConfig
    diff_ids: tuple[str, ...]


class _Platform(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    platform: _Platform | None = None


class _Document(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int = 2
    media_type: str = ""
    manifests: list[_Descriptor] | None = None
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None


class _RunConfig(msgspec.Struct, frozen=True):
    # The specification writes these names with a capital, and Docker writes null for an empty list.
    entrypoint: list[str] | None = msgspec.field(name="Entrypoint", default=None)
    cmd: list[str] | None = msgspec.field(name="Cmd", default=None)
    env: list[str] | None = msgspec.field(name="Env", default=None)
    workdir: str | None = msgspec.field(name="WorkingDir", default=None)
    user: str | None = msgspec.field(name="User", default=None)
    exposed_ports: dict[str, object] | None = msgspec.field(name="ExposedPorts", default=None)
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: list[str] = msgspec.field(default_factory=list)


class _ConfigDocument(msgspec.Struct, frozen=True):
    config: _RunConfig | None = None
    rootfs: _RootFs = msgspec.field(default_factory=_RootFs)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of a document, as manifests write it."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def host_architecture() -> str:
    """This machine in the words of a manifest (GOARCH)."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def choose(data: bytes, architecture: str) -> Descriptor | None:
    """The image for `architecture` where the document is an index; None where it is the manifest of one image.

    Raises:
        InvalidManifest: broken, or an index without an image for this machine (the message lists what it has).
    """
    document = _decode(data)
    if document.manifests is None:
        if document.media_type in INDEX_TYPES:
            raise InvalidManifest("the index names no image")
        return None
    offered = [entry for entry in document.manifests if not _is_attestation(entry)]
    # An entry without a platform fits any machine; a layout made by hand has just one of these.
    for entry in offered:
        if entry.platform is None or (entry.platform.architecture, entry.platform.os) == (
            architecture,
            "linux",
        ):
            return _descriptor(entry)
    names = sorted({f"{p.os}/{p.architecture}" for p in (entry.platform for entry in offered) if p})
    raise NoImageForThisMachine(
        f"it has no image for linux/{architecture}, only for {', '.join(names) or 'nothing'}"
    )


def parse_manifest(data: bytes) -> Manifest:
    """Reads the manifest of one image.

    Raises:
        InvalidManifest: not such a document, or outside our bounds.
    """
    document = _decode(data)
    if document.config is None or document.layers is None:
        raise InvalidManifest("the manifest names no configuration or no layers")
    if len(document.layers) > LAYERS_MAX:
        raise InvalidManifest(f"{len(document.layers)} layers, at most {LAYERS_MAX} are allowed")
    config = _descriptor(document.config)
    if config.size > CONFIG_BYTES_MAX:
        raise InvalidManifest(f"the configuration is larger than {CONFIG_BYTES_MAX} bytes")
    layers = tuple(_descriptor(layer) for layer in document.layers)
    if sum(layer.size for layer in layers) > IMAGE_BYTES_MAX:
        raise InvalidManifest(f"the layers are larger than {IMAGE_BYTES_MAX >> 30} GiB")
    return Manifest(config, layers)


def parse_config(data: bytes) -> ParsedConfig:
    """Reads an image's configuration.

    Raises:
        InvalidManifest: not such a document, or a value that no launch could use.
    """
    try:
        document = msgspec.json.decode(data, type=_ConfigDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidManifest(f"the configuration cannot be read: {error}") from None
    for diff_id in document.rootfs.diff_ids:
        _check_digest(diff_id)
    run = document.config or _RunConfig()
    texts = [
        *(run.entrypoint or ()),
        *(run.cmd or ()),
        *(run.env or ()),
        run.workdir or "",
        run.user or "",
    ]
    if any("\0" in text for text in texts):
        raise InvalidManifest(
            "the configuration holds a NUL character, which no program can be given"
        )
    ports = {_port(text) for text in run.exposed_ports or {}}
    config = ImageConfig(
        entrypoint=tuple(run.entrypoint or ()),
        cmd=tuple(run.cmd or ()),
        env=tuple(run.env or ()),
        workdir=run.workdir or "",
        user=run.user or "",
        exposed_ports=tuple(sorted(port for port in ports if port is not None)),
        labels=run.labels or {},
    )
    return ParsedConfig(config, tuple(document.rootfs.diff_ids))


def _decode(data: bytes) -> _Document:
    if len(data) > MANIFEST_BYTES_MAX:
        raise InvalidManifest(f"the manifest is larger than {MANIFEST_BYTES_MAX} bytes")
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidManifest(f"the manifest cannot be read: {error}") from None
    if document.schema_version != 2:
        raise InvalidManifest(
            "the manifest has the retired schema 1; push the image again with a current tool"
        )
    return document


def _descriptor(entry: _Descriptor) -> Descriptor:
    _check_digest(entry.digest)
    if entry.size < 0:
        raise InvalidManifest("a descriptor has a negative size")
    return Descriptor(entry.digest, entry.size)


def _check_digest(text: str) -> None:
    if not _DIGEST.fullmatch(text):
        raise InvalidManifest(f"{text[:100]!r} is no valid digest")


def _is_attestation(entry: _Descriptor) -> bool:
    """Build tools add entries for their provenance documents, with the platform unknown/unknown."""
    return entry.platform is not None and entry.platform.os == "unknown"


def _port(text: str) -> int | None:
    """The TCP port; None for another protocol, which no sandbox serves.

    Raises:
        InvalidManifest: no port at all.
    """
    if text.endswith(("/udp", "/sctp")):
        return None
    match = _PORT.fullmatch(text)
    if match is None or not 0 < int(match[1]) < 65536:
        raise InvalidManifest(f"{text[:100]!r} is no valid port")
    return int(match[1])
