import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard

from loadtests import function_image
from loadtests.function_image import ImageUnusable, Layout, extract_program


def layer(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def write_layout(folder: Path, argv: list[str], layers: list[tuple[str, bytes]]) -> None:
    def blob(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = folder / "blobs" / "sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"sha256:{digest}"

    config = blob(json.dumps({"config": {"Entrypoint": argv[:1], "Cmd": argv[1:]}}).encode())
    described = [{"mediaType": kind, "digest": blob(content)} for kind, content in layers]
    manifest = {"config": {"digest": config}, "layers": described}
    index = {"manifests": [{"digest": blob(json.dumps(manifest).encode())}]}
    (folder / "index.json").write_text(json.dumps(index))


def test_program_of_the_highest_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_image, "IMAGES", tmp_path)
    kind = "application/vnd.oci.image.layer.v1.tar"
    lower = gzip.compress(layer({"handler": b"old", "etc/passwd": b"root"}))
    upper = zstandard.compress(layer({"./handler": b"new"}))
    layers = [(f"{kind}+gzip", lower), (f"{kind}+zstd", upper), (kind, layer({"x": b""}))]
    write_layout(tmp_path / "aes", ["/handler", "-v"], layers)
    assert Layout(tmp_path / "aes").argv() == ["/handler", "-v"]
    (tmp_path / "out").mkdir()
    program = extract_program("aes", tmp_path / "out")
    assert program.read_bytes() == b"new"
    assert program.stat().st_mode & 0o111
    with pytest.raises(ImageUnusable, match="no layer has /nothing"):
        Layout(tmp_path / "aes").read_file("/nothing")


def test_image_that_is_missing_or_no_single_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_image, "IMAGES", tmp_path)
    with pytest.raises(ImageUnusable, match="make images"):
        extract_program("aes", tmp_path)
    write_layout(tmp_path / "hello", ["python3", "index.py"], [])
    with pytest.raises(ImageUnusable, match="absolute program"):
        extract_program("hello", tmp_path)
