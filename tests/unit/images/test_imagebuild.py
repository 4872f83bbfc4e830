"""Goal: the same input gives the same image, and it is one that other tools read."""

import json
import subprocess
from pathlib import Path

from junctiond.images.manifest import host_architecture
from tools.imagebuild import bytecode, debian
from tools.imagebuild.layout import ImageSpec, layer, write
from tools.imagebuild.tree import Tree


def sample() -> Tree:
    tree = Tree()
    tree.file("app/main.py", "print('x')\n", 0o644)
    tree.file("app/run", b"\x7fELF", 0o755)
    tree.link("run", "app/run")
    tree.folder("tmp", 0o1777)
    return tree


def test_the_same_tree_gives_the_same_digest(tmp_path: Path):
    digests = set()
    for name in ("a", "b"):
        tree = sample()
        bytecode.compile_tree(tree, "app")
        spec = ImageSpec(name, (layer(tree.archive()),), ("/run",), env=("A=1",), ports=(8080,))
        digests.add(write(spec, tmp_path / name, host_architecture()))
    assert len(digests) == 1


def test_order_does_not_count():
    one, two = Tree(), Tree()
    for name in ("x/a", "x/b", "y"):
        one.file(name, name)
    for name in ("y", "x/b", "x/a"):
        two.file(name, name)
    assert one.archive() == two.archive()


def test_other_tools_read_the_layout(tmp_path: Path):
    spec = ImageSpec("x", (layer(sample().archive()),), ("/run",), user="7", ports=(3000,))
    digest = write(spec, tmp_path / "x", host_architecture())
    command = ["skopeo", "inspect", f"oci:{tmp_path / 'x'}:latest"]
    seen = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert seen["Digest"] == digest
    assert seen["Os"] == "linux"


def test_files_of_a_package_land_in_the_merged_usr(tmp_path: Path):
    root = tmp_path / "pkg"
    for name, text in (("lib/x.so", "lib"), ("usr/share/doc/x/README", "doc"), ("bin/x", "bin")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    deb = tmp_path / "x_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(root), str(deb)], check=True, capture_output=True)
    tree = Tree()
    debian.add(tree, deb)
    assert sorted(tree.entries) == ["usr/bin/x", "usr/lib/x.so"]
