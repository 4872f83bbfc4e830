"""Writes OCI layout folders (OCI image-spec: image-layout.md, manifest.md, config.md)."""

import gzip
import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer: its bytes and both of its digests."""

    blob: bytes
    digest: str
    diff_id: str


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How an image starts, and its layers, bottom first."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    env: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""
    ports: tuple[int, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


def layer(archive: bytes) -> Layer:
    """Compresses a tar archive. The gzip header carries no time, so that the digest is the input's alone."""
    blob = gzip.compress(archive, GZIP_LEVEL, mtime=0)
    return Layer(blob, _digest(blob), _digest(archive))


def write(spec: ImageSpec, folder: Path, architecture: str) -> str:
    """Replaces `folder` by an OCI layout with the image under the tag `latest`; returns the manifest's digest."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    blobs = temporary / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for one in spec.layers:
        _put(blobs, one.blob)
    config = _json(_config(spec, architecture))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [
                _descriptor("application/vnd.oci.image.layer.v1.tar+gzip", one.blob)
                for one in spec.layers
            ],
        }
    )
    for document in (config, manifest):
        _put(blobs, document)
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (temporary / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
    (temporary / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return _digest(manifest)


def _config(spec: ImageSpec, architecture: str) -> dict[str, object]:
    run = {
        "User": spec.user,
        "ExposedPorts": {f"{port}/tcp": {} for port in spec.ports},
        "Env": list(spec.env),
        "Entrypoint": list(spec.entrypoint),
        "WorkingDir": spec.workdir,
        "Labels": spec.labels,
    }
    return {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": {key: value for key, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in spec.layers]},
    }


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _put(blobs: Path, data: bytes) -> None:
    (blobs / _digest(data).partition(":")[2]).write_bytes(data)


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
