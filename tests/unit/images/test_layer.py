"""Goal: a layer becomes the folder that overlay expects, and a hostile one becomes an error and nothing else.

Method: real archives into real folders (root is needed for owners, devices and trusted attributes); beside the target
lies a folder that must never change.
"""

import os
import stat
import tarfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.images.archive import CorruptLayer
from junctiond.images.layer import unpack
from junctiond.images.limits import LayerLimits
from tests.support.layers import (
    Item,
    archive,
    compressed,
    digest,
    folder,
    hardlink,
    snapshot,
    symlink,
)

SMALL = LayerLimits(bytes_max=4 << 20, entries_max=200)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "diff"
    path.mkdir()
    return path


def put(target: Path, *items: Item, how: str = "gzip", limits: LayerLimits = SMALL) -> Path:
    return put_bytes(target, archive(*items), how=how, limits=limits)


def put_bytes(
    target: Path, plain: bytes, *, how: str = "plain", limits: LayerLimits = SMALL
) -> Path:
    blob = compressed(plain, how)
    path = target.parent / "blob"
    path.write_bytes(blob)
    unpack(path, digest(blob), digest(plain), target, limits)
    return target


@pytest.mark.parametrize("how", ["gzip", "zstd", "plain"])
def test_files_keep_content_owner_mode_and_time(target, how):
    big = os.urandom(700_000)
    put(
        target,
        folder("usr", 0o750),
        Item("usr/a", data=b"text", mode=0o4755, uid=12, gid=34, mtime=1_000_000),
        Item("usr/exact", data=b"x" * 1024),
        Item("usr/big", data=big),
        Item("usr/empty"),
        symlink("usr/link", "../etc/passwd"),
        hardlink("usr/hard", "usr/a"),
        Item("deep/er/file", data=b"1"),
        how=how,
    )
    status = (target / "usr/a").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4755)
    assert status.st_mtime_ns == 1_000_000 * 1_000_000_000
    assert status.st_nlink == 2
    assert (target / "usr/hard").samefile(target / "usr/a")
    assert (target / "usr/big").read_bytes() == big
    assert (target / "usr/exact").read_bytes() == b"x" * 1024
    assert (target / "usr/empty").read_bytes() == b""
    assert (target / "usr/link").readlink() == Path("../etc/passwd")
    assert stat.S_IMODE((target / "usr").stat().st_mode) == 0o750
    assert (target / "deep/er/file").read_bytes() == b"1"


def test_whiteouts_take_overlays_form(target):
    put(
        target,
        Item("etc/.wh.gone"),
        folder("opt"),
        Item("opt/.wh..wh..opq"),
        Item("opt/new", data=b"n"),
        Item(".wh.replaced"),
        folder("replaced"),
        folder("both"),
        Item(".wh.both"),
        Item("kept", data=b"k"),
        Item(".wh.kept"),
    )
    gone = (target / "etc/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    for name in ("opt", "replaced", "both"):
        assert os.getxattr(target / name, "trusted.overlay.opaque") == b"y"
    assert (target / "kept").read_bytes() == b"k"
    assert sorted(path.name for path in (target / "opt").iterdir()) == ["new"]


def test_overlay_reads_them_so(tmp_path):
    lower, upper, merged = tmp_path / "lower", tmp_path / "upper", tmp_path / "merged"
    for path in (lower, upper, merged):
        path.mkdir()
    put(lower, Item("gone", data=b"1"), Item("opt/old", data=b"2"), Item("stays", data=b"3"))
    put(upper, Item(".wh.gone"), Item("opt/.wh..wh..opq"), Item("opt/new", data=b"4"))
    os.system(f"mount -t overlay overlay -o lowerdir={upper}:{lower} {merged}")
    try:
        assert sorted(str(path.relative_to(merged)) for path in merged.rglob("*")) == [
            "opt",
            "opt/new",
            "stays",
        ]
    finally:
        os.system(f"umount {merged}")


def test_the_last_of_two_entries_counts(target):
    put(
        target,
        Item("a", data=b"old"),
        Item("a", data=b"new"),
        folder("b"),
        Item("b/x"),
        Item("b", data=b"file"),
    )
    assert (target / "a").read_bytes() == b"new"
    assert (target / "b").read_bytes() == b"file"


def test_devices_are_left_out_and_attributes_that_steer_overlay_too(target):
    capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    put(
        target,
        Item("null", tarfile.CHRTYPE),
        Item("disk", tarfile.BLKTYPE),
        Item(
            "file",
            pax={
                "SCHILY.xattr.trusted.overlay.redirect": "/etc",
                "SCHILY.xattr.user.overlay.opaque": "y",
                "SCHILY.xattr.user.note": "kept",
                "SCHILY.xattr.security.capability": capability,
            },
        ),
    )
    assert [path.name for path in target.iterdir()] == ["file"]
    assert sorted(os.listxattr(target / "file")) == ["security.capability", "user.note"]


def test_links_are_followed_inside_the_layer_only(target):
    put(
        target,
        folder("usr/lib"),
        symlink("lib", "/usr/lib"),
        Item("lib/a", data=b"1"),
        Item("lib/sub/b", data=b"2"),
    )
    assert (target / "usr/lib/a").read_bytes() == b"1"
    assert (target / "usr/lib/sub/b").read_bytes() == b"2"


HOSTILE = {
    "dots": [Item("../outside/x", data=b"!")],
    "dots inside": [Item("a/../../outside/x", data=b"!")],
    "absolute": [Item("/outside/x", data=b"!")],
    "link up": [symlink("up", "../outside"), Item("up/x", data=b"!")],
    "link far up": [symlink("up", "../../../../../../tmp"), Item("up/x", data=b"!")],
    "link to the host": [symlink("etc", "/nowhere/etc"), Item("etc/x", data=b"!")],
    "links in a circle": [symlink("a", "b"), symlink("b", "a"), Item("a/x", data=b"!")],
    "hard link out": [hardlink("h", "../outside/secret")],
    "hard link to nothing": [hardlink("h", "etc/shadow")],
    "hard link to a folder": [folder("d"), hardlink("h", "d")],
    "hard link through a link": [symlink("up", "../outside"), hardlink("h", "up/secret")],
    "file as folder": [Item("a"), Item("a/b")],
    "long name": [Item("n" * 300)],
    "deep": [Item("d/" * 300 + "x")],
    "many entries": [Item(f"f{number}") for number in range(201)],
    "whiteout of nothing": [Item("a/.wh.")],
    "whiteout of the parent": [Item("a/.wh...")],
    "link with NUL": [Item("l", tarfile.SYMTYPE, pax={"linkpath": "a\0b"})],
    "long link": [Item("l", tarfile.SYMTYPE, link="a/" * 3000)],
    "broken capability": [Item("f", pax={"SCHILY.xattr.security.capability": "x"})],
    "attribute with NUL": [Item("f", pax={"SCHILY.xattr.user.a\0b": "x"})],
    "long attribute": [Item("f", pax={"SCHILY.xattr.user." + "a" * 300: "x"})],
    "large attribute": [Item("f", pax={"SCHILY.xattr.user.a": "x" * 70000})],
    "owner that cannot be": [Item("f", pax={"uid": "99999999999"})],
    "negative owner": [Item("f", pax={"uid": "-1"})],
    "sparse": [Item("s", pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99"}, data=b"1\n0\n0\n")],
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers_are_refused_and_reach_nothing(target, name):
    outside = target.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    before = snapshot(outside)
    with pytest.raises(CorruptLayer):
        put(target, *HOSTILE[name])
    assert snapshot(outside) == before
    assert (outside / "secret").stat().st_nlink == 1


def test_a_bomb_stops_at_its_limit(target):
    with pytest.raises(CorruptLayer, match="more than"):
        put(target, Item("zeros", data=bytes(5 << 20)))


def test_a_header_of_megabytes_is_not_read_into_memory(target):
    with pytest.raises(CorruptLayer, match="header"):
        put(
            target,
            Item("x", pax={"comment": "c" * (2 << 20)}),
            limits=replace(SMALL, bytes_max=1 << 30),
        )


def test_folders_made_for_entries_count_too(target):
    deep = [Item("/".join([f"d{number}", *"abcdefgh", "f"])) for number in range(25)]
    with pytest.raises(CorruptLayer, match="more than 200 entries and folders"):
        put(target, *deep)
    assert sum(1 for _ in target.rglob("*")) <= 200


def test_remembered_paths_have_a_bound(target):
    items = [folder(f"{'n' * 200}{number}") for number in range(20)]
    with pytest.raises(CorruptLayer, match="memory"):
        put(target, *items, limits=replace(SMALL, remembered_bytes_max=5000))


def test_unpacking_has_an_end(target):
    with pytest.raises(CorruptLayer, match="more than 0 s"):
        put(target, Item("a", data=b"1"), limits=replace(SMALL, duration_s_max=0))


def header(kind: bytes, data: bytes) -> bytes:
    """A header of one of the types that announce a further one."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """One record of an extended header."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    return str(len(rest) + len(str(length))).encode() + rest


PLAIN_FILE = tarfile.TarInfo("f").tobuf(tarfile.USTAR_FORMAT)
HEADERS = {
    "chain of extended headers": header(tarfile.XHDTYPE, record(b"comment", b"x")) * 1500,
    "chain of long names": header(tarfile.GNUTYPE_LONGNAME, b"abc\0") * 1500,
    "chain of large headers": header(tarfile.XHDTYPE, record(b"a", b"x" * 900_000)) * 4,
    "chain after an entry": PLAIN_FILE + header(tarfile.XHDTYPE, record(b"a", b"x")) * 1500,
    "record of another length": header(tarfile.XHDTYPE, b"9 a=b\n"),
    "record without a length": header(tarfile.XHDTYPE, b"a=b\n"),
    "record without a key": header(tarfile.XHDTYPE, b"5 =b\n"),
    "record of nothing": header(tarfile.XHDTYPE, b"0 a=b\n"),
    "record without an end": header(tarfile.XHDTYPE, b"6 a=b1"),
    # With tarfile's own parser this one takes hours.
    "digits": header(tarfile.XHDTYPE, b"1" * (1 << 20)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_headers_are_refused(target, name):
    plain = HEADERS[name] + PLAIN_FILE + bytes(1024)
    with pytest.raises(CorruptLayer):
        put_bytes(target, plain, limits=replace(SMALL, bytes_max=16 << 20))


def test_global_headers_have_a_bound_together(target):
    one = [
        header(tarfile.XGLTYPE, record(f"k{number}".encode(), b"v" * 10_000)) + PLAIN_FILE
        for number in range(10)
    ]
    put_bytes(target, one[0] + bytes(1024))
    with pytest.raises(CorruptLayer, match="global"):
        put_bytes(target, b"".join(one) + bytes(1024))


def test_extended_headers_mean_what_they_did(target):
    name = "ü" * 60 + "/" + "n" * 120
    data = b"content"
    entry = tarfile.TarInfo("short").tobuf(tarfile.USTAR_FORMAT)
    given = {"path": name.encode(), "size": b"7", "mtime": b"1.5", "uid": b"3000000", "a": b"1\n2"}
    records = b"".join(record(key.encode(), value) for key, value in given.items())
    plain = b"".join(
        [
            header(tarfile.XGLTYPE, record(b"comment", b"0123") + record(b"gid", b"7")),
            header(tarfile.XHDTYPE, records) + entry + data + bytes(512 - len(data)),
            PLAIN_FILE + bytes(1024),
        ]
    )
    put_bytes(target, plain)
    status = (target / name).stat()
    assert (target / name).read_bytes() == data
    assert (status.st_uid, status.st_gid) == (3_000_000, 7)
    assert status.st_mtime_ns == 1_500_000_000
    assert (target / "f").stat().st_gid == 7


@pytest.mark.parametrize("how", ["gzip", "zstd", "plain"])
def test_what_is_not_what_its_digest_says_is_refused(target, how):
    plain = archive(Item("a", data=b"1"))
    blob = compressed(plain, how)
    path = target.parent / "blob"
    path.write_bytes(blob)
    other = digest(b"other")
    for blob_digest, diff_id in ((other, digest(plain)), (digest(blob), other)):
        with pytest.raises(CorruptLayer, match="does not have the digest"):
            unpack(path, blob_digest, diff_id, target, SMALL)
    path.write_bytes(blob[: len(blob) // 2])
    with pytest.raises(CorruptLayer):
        unpack(path, digest(blob), digest(plain), target, SMALL)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-5", "1e30", "x"])
def test_impossible_times_become_the_epoch(target, seconds):
    put(target, Item("a", pax={"mtime": seconds}))
    assert (target / "a").stat().st_mtime_ns == 0


@given(st.binary(max_size=2000))
def test_any_bytes_give_a_folder_or_one_error(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("any")
    target = root / "diff"
    target.mkdir()
    try:
        put_bytes(target, data)
    except CorruptLayer:
        return


NAMES = st.text("ab./", min_size=1, max_size=6) | st.sampled_from(
    ["../x", "a/.wh.b", "a/.wh..wh..opq", ".wh.a"]
)
ITEMS = st.builds(
    Item,
    name=NAMES,
    kind=st.sampled_from(
        [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
    ),
    data=st.just(b""),
    link=NAMES,
    uid=st.integers(0, 70000),
    mode=st.integers(0, 0o7777),
)


@given(st.lists(ITEMS, max_size=8))
def test_no_sequence_of_entries_reaches_outside(tmp_path_factory, items):
    root = tmp_path_factory.mktemp("seq")
    target, outside = root / "diff", root / "x"
    target.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    before = snapshot(outside)
    with suppress(CorruptLayer):
        put(target, *items)
    assert snapshot(outside) == before
    assert sorted(path.name for path in root.iterdir()) == ["blob", "diff", "x"]
