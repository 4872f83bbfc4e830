import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
import zstandard

from loadtests import function_image
from loadtests.function_image import ImageUnusable, extract
from loadtests.program import behind_watchdog


def layer(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def write_layout(
    folder: Path, argv: list[str], layers: list[tuple[str, bytes]], **process: object
) -> None:
    def blob(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = folder / "blobs" / "sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"sha256:{digest}"

    whole = {"Entrypoint": argv[:1], "Cmd": argv[1:], **process}
    config = blob(json.dumps({"config": whole}).encode())
    described = [{"mediaType": kind, "digest": blob(content)} for kind, content in layers]
    manifest = {"config": {"digest": config}, "layers": described}
    index = {"manifests": [{"digest": blob(json.dumps(manifest).encode())}]}
    (folder / "index.json").write_text(json.dumps(index))


KIND = "application/vnd.oci.image.layer.v1.tar"


def test_program_in_the_files_of_all_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_image, "IMAGES", tmp_path)
    users = b"root:x:0:0:::\napp:x:71:72::/home:\n"
    lower = gzip.compress(layer({"handler": b"old", "etc/passwd": users}))
    upper = zstandard.compress(layer({"./handler": b"new"}))
    layers = [(f"{KIND}+gzip", lower), (f"{KIND}+zstd", upper), (KIND, layer({"x": b""}))]
    write_layout(
        tmp_path / "aes", ["/handler", "-v"], layers, User="app", Env=["A=1"], WorkingDir="/etc"
    )
    program = extract("aes", tmp_path / "out")
    assert program.root is not None
    assert (program.root / "handler").read_bytes() == b"new"
    assert (program.argv, program.uid, program.gid) == (("/handler", "-v"), 71, 72)
    assert (program.env["A"], program.cwd) == ("1", "/etc")
    assert program.environment(81)["PORT"] == "81"
    assert program.command()[-3:] == ["--setuid=71", "/handler", "-v"]


def test_the_watchdog_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_image, "IMAGES", tmp_path)
    environment = ["mode=http", "fprocess=python3 'a b.py'"]
    write_layout(tmp_path / "hello", ["fwatchdog"], [], Env=environment, User="5")
    program = extract("hello", tmp_path / "out")
    assert (program.argv, program.uid) == (("python3", "a b.py"), 5)
    streaming = behind_watchdog(["fwatchdog"], {"mode": "streaming", "fprocess": "cat"})
    assert streaming == ["fwatchdog"]


def test_nginx_gets_its_port_in_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_image, "IMAGES", tmp_path)
    text = b"http {\n    server {\n        listen 8080;\n    }\n}\n"
    write_layout(tmp_path / "nginx", ["nginx"], [(KIND, layer({function_image.NGINX: text}))])
    program = extract("nginx", tmp_path / "out")
    program.prepare(9000)
    assert program.root is not None
    assert "        listen 9000;\n" in (program.root / function_image.NGINX).read_text()


def test_image_that_is_missing_or_names_nothing_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_image, "IMAGES", tmp_path)
    with pytest.raises(ImageUnusable, match="make images"):
        extract("aes", tmp_path / "out")
    write_layout(tmp_path / "empty", [], [])
    with pytest.raises(ImageUnusable, match="names no program"):
        extract("empty", tmp_path / "out")
    write_layout(tmp_path / "who", ["/x"], [(KIND, layer({"etc/passwd": b""}))], User="who")
    with pytest.raises(ImageUnusable, match="no user who"):
        extract("who", tmp_path / "out")
