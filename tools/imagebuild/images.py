"""The images of functions/: which layers each has and how it starts."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.imagebuild import bytecode, debian
from tools.imagebuild.layout import ImageSpec, Layer, layer
from tools.imagebuild.tree import Tree

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APP_ID = 10001
HOME = "/home/app"

# Shared by hello and node-hello: one layer on disk and in the page cache for both.
BASE = ("libc6", "zlib1g", "libssl3", "libgcc-s1")
PYTHON = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
    "libexpat1", "libbz2-1.0", "liblzma5", "libffi8", "libuuid1",
)  # fmt: skip
PYTHON_DROPPED = tuple(
    f"usr/lib/python3.11/{name}"
    for name in (
        "idlelib",
        "lib2to3",
        "ensurepip",
        "distutils",
        "turtledemo",
        "pydoc_data",
        "tkinter",
        "test",
    )
)
NODE = (
    "nodejs", "libnode108", "libstdc++6", "libicu72", "libuv1", "libnghttp2-14", "libc-ares2", "libbrotli1",
    "node-acorn", "node-busboy", "node-cjs-module-lexer", "node-undici", "node-xtend",
)  # fmt: skip
LIBC_DROPPED = tuple(f"usr/lib/{arch}-linux-gnu/gconv" for arch in ("x86_64", "aarch64"))


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that a build reads and writes."""

    functions: Path
    cache: Path
    architecture: str


def all_images(places: Places) -> list[ImageSpec]:
    """Every image, in the order in which a reader meets them."""
    base = _base(places)
    watchdog = _watchdog(places)
    return [
        _aes(places),
        _hello(places, base, watchdog),
        _node(places, base),
        _cgi(places, watchdog),
    ]


def _aes(places: Places) -> ImageSpec:
    tree = Tree()
    tree.file("handler", _go_build(places, "aes"), 0o755)
    return ImageSpec(
        "aes", (layer(tree.archive()),), ("/handler",), user=str(APP_ID), ports=(8080,)
    )


def _hello(places: Places, base: Layer, watchdog: Layer) -> ImageSpec:
    runtime = _debian(places, PYTHON, PYTHON_DROPPED)
    runtime.link("usr/bin/python3", "python3.11")
    bytecode.compile_tree(runtime, "usr/lib/python3.11")
    app = Tree()
    app.copy(places.functions / "hello", HOME)
    bytecode.compile_tree(app, HOME.strip("/"))
    return ImageSpec(
        "hello",
        (base, layer(runtime.archive()), watchdog, layer(app.archive())),
        ("fwatchdog",),
        env=(
            PATH,
            f"HOME={HOME}",
            "fprocess=python3 index.py",
            "mode=http",
            "upstream_url=http://127.0.0.1:5000",
            "PYTHONUNBUFFERED=1",
        ),
        workdir=HOME,
        user="app",
        ports=(8080,),
    )


def _node(places: Places, base: Layer) -> ImageSpec:
    runtime = _debian(places, NODE, ())
    app = Tree()
    app.copy(places.functions / "node-hello", HOME)
    return ImageSpec(
        "node-hello",
        (base, layer(runtime.archive()), layer(app.archive())),
        ("node", "index.js"),
        env=(PATH, f"HOME={HOME}", "NODE_ENV=production"),
        workdir=HOME,
        user="app",
        ports=(3000,),
    )


def _cgi(places: Places, watchdog: Layer) -> ImageSpec:
    tree = Tree()
    (deb,) = debian.download(("busybox-static",), places.cache / "debs")
    debian.add(tree, deb)
    busybox = next(path for path in tree.entries if path.endswith("bin/busybox"))
    binary = tree.entries[busybox].data
    tree = Tree()
    tree.file("bin/busybox", binary, 0o755)
    for name in (
        "sh",
        "cat",
        "echo",
        "env",
        "ls",
        "sleep",
        "wc",
        "head",
        "tail",
        "grep",
        "sed",
        "date",
        "id",
    ):
        tree.link(f"bin/{name}", "busybox")
    _users(tree)
    app = Tree()
    app.copy(places.functions / "cgi", HOME)
    return ImageSpec(
        "cgi",
        (layer(tree.archive()), watchdog, layer(app.archive())),
        ("fwatchdog",),
        env=(PATH, f"HOME={HOME}", f"fprocess={HOME}/handler.sh", "mode=streaming"),
        workdir=HOME,
        user="app",
        ports=(8080,),
    )


def _base(places: Places) -> Layer:
    tree = _debian(places, BASE, LIBC_DROPPED)
    debian.merge_usr(tree)
    _users(tree)
    return layer(tree.archive())


def _users(tree: Tree) -> None:
    tree.file(
        "etc/passwd",
        f"root:x:0:0:root:/root:/sbin/nologin\napp:x:{APP_ID}:{APP_ID}:app:{HOME}:/bin/sh\n",
    )
    tree.file("etc/group", f"root:x:0:\napp:x:{APP_ID}:\n")
    tree.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    tree.folder("tmp", 0o1777)
    tree.folder("home/app")


def _debian(places: Places, packages: tuple[str, ...], dropped: tuple[str, ...]) -> Tree:
    tree = Tree()
    for deb in debian.download(packages, places.cache / "debs"):
        debian.add(tree, deb, dropped)
    return tree


def _watchdog(places: Places) -> Layer:
    tree = Tree()
    tree.file("usr/bin/fwatchdog", _go_build(places, "fwatchdog"), 0o755)
    return layer(tree.archive())


def _go_build(places: Places, name: str) -> bytes:
    """A static program without paths, build id or symbols: its bytes depend on the source and on Go alone."""
    target = places.cache / "go" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            "go",
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags=-s -w -buildid=",
            "-o",
            str(target),
            ".",
        ],
        cwd=places.functions / name,
        env={
            **os.environ,
            "CGO_ENABLED": "0",
            "GOFLAGS": "",
            "GOOS": "linux",
            "GOARCH": places.architecture,
        },
        check=True,
    )
    return target.read_bytes()
