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

# Shared by all dynamic images: one layer on disk and in the page cache.
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
NGINX = ("nginx", "libpcre2-8-0", "libcrypt1")
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
    python = _python(places)
    watchdog = _watchdog(places)
    return [
        _aes(places),
        _aes_watchdog(places, watchdog),
        _hello(places, (base, python, watchdog)),
        _asyncio(places, (base, python)),
        _node(places, base),
        _nginx(places, base),
        _epoll(places, base),
        _cgi(places, watchdog),
    ]


def _aes(places: Places) -> ImageSpec:
    tree = Tree()
    tree.file("handler", _go_build(places, "aes"), 0o755)
    return ImageSpec(
        "aes", (layer(tree.archive()),), ("/handler",), user=str(APP_ID), ports=(8080,)
    )


def _aes_watchdog(places: Places, watchdog: Layer) -> ImageSpec:
    """The same behind a watchdog, as functions of the OpenFaaS templates are: what `make bench-faasd` deploys."""
    tree = Tree()
    tree.file("handler", _go_build(places, "aes"), 0o755)
    tree.folder("tmp", 0o1777)
    return ImageSpec(
        "aes-watchdog",
        (layer(tree.archive()), watchdog),
        ("fwatchdog",),
        env=(
            PATH,
            "fprocess=/handler",
            "mode=http",
            "upstream_url=http://127.0.0.1:8082",
            "PORT=8082",
            "healthcheck_interval=100ms",  # how long it drains when it is stopped
        ),
        user=str(APP_ID),
        ports=(8080,),
    )


def _python(places: Places) -> Layer:
    runtime = _debian(places, PYTHON, PYTHON_DROPPED)
    runtime.link("usr/bin/python3", "python3.11")
    bytecode.compile_tree(runtime, "usr/lib/python3.11")
    return layer(runtime.archive())


def _app(places: Places, name: str) -> Layer:
    """The source of a function as a layer of its own."""
    app = Tree()
    app.copy(places.functions / name, HOME)
    bytecode.compile_tree(app, HOME.strip("/"))
    return layer(app.archive())


def _hello(places: Places, below: tuple[Layer, ...]) -> ImageSpec:
    return ImageSpec(
        "hello",
        (*below, _app(places, "hello")),
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


def _asyncio(places: Places, below: tuple[Layer, ...]) -> ImageSpec:
    return ImageSpec(
        "asyncio",
        (*below, _app(places, "asyncio")),
        ("python3", "server.py"),
        env=(PATH, f"HOME={HOME}"),
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


def _nginx(places: Places, base: Layer) -> ImageSpec:
    tree = _debian(places, NGINX, ())
    # Debian's own configuration stays out: it includes folders of sites and modules that are not here.
    server = Tree({"usr/sbin/nginx": tree.entries["usr/sbin/nginx"]})
    server.entries |= {path: one for path, one in tree.entries.items() if "/lib/" in f"/{path}"}
    server.file("etc/nginx/nginx.conf", (places.functions / "nginx" / "nginx.conf").read_bytes())
    return ImageSpec(
        "nginx",
        (base, layer(server.archive())),
        ("nginx", "-e", "stderr"),
        env=(PATH,),
        user="app",
        ports=(8080,),
    )


def _epoll(places: Places, base: Layer) -> ImageSpec:
    tree = Tree()
    tree.file("usr/bin/server", _c_build(places, "epoll"), 0o755)
    return ImageSpec(
        "epoll", (base, layer(tree.archive())), ("server",), (PATH,), user="app", ports=(8080,)
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


def _c_build(places: Places, name: str) -> bytes:
    """A dynamic program for the C library of the base layer, Debian 12's or any newer one."""
    target = places.cache / "c" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = places.functions / name / "server.c"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-s", "-Wl,--build-id=none"]
    subprocess.run(["gcc", *flags, "-o", str(target), str(source)], check=True)
    return target.read_bytes()
