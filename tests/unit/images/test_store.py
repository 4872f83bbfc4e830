"""Goal: a reference becomes layers on disk, once, from a real registry and from local layouts, and goes away again.

Method: real skopeo, a real registry on loopback, images made by the repository's own builder and by hand.
"""

import asyncio
import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from junctiond.images import manifest as documents
from junctiond.images import store as module
from junctiond.images.base import ImageError, ImageReason
from junctiond.images.collection import YOUNG_NS
from junctiond.images.layer import unpack
from junctiond.images.manifest import host_architecture
from junctiond.images.store import OciImageStore
from tests.support.layers import Item, archive
from tests.support.registry import HTPASSWD, LocalRegistry, running_registry
from tools.imagebuild.layout import ImageSpec, Layer, layer, write

BASE = layer(archive(Item("base", data=b"base")))


class Clock:
    """Time that tests move."""

    now_ns = 10 * YOUNG_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> OciImageStore:
    return OciImageStore(tmp_path / "state", clock_ns=clock)


def top(text: str) -> Layer:
    return layer(archive(Item("top", data=text.encode())))


def make(folder: Path, *layers: Layer, **fields: object) -> Path:
    spec = ImageSpec("x", layers or (BASE, top("1")), ("/a",), **fields)  # type: ignore[arg-type]
    write(spec, folder, host_architecture())
    return folder


def unpacked(tmp_path: Path) -> int:
    return len(list((tmp_path / "state/layers").glob("sha256-*")))


async def test_an_image_of_a_registry_is_unpacked_top_first(
    store, registry: LocalRegistry, tmp_path
):
    reference = registry.push(make(tmp_path / "a", user="app", env=("A=1",)), "store/first")
    image = await store.resolve(reference)
    assert [path.parent.parent for path in image.layers] == [tmp_path / "state/layers"] * 2
    assert (image.layers[0] / "top").read_bytes() == b"1"
    assert (image.layers[1] / "base").read_bytes() == b"base"
    assert (image.config.entrypoint, image.config.user, image.config.env) == (
        ("/a",),
        "app",
        ("A=1",),
    )
    assert image.reference == reference
    assert (tmp_path / "state/layers").stat().st_mode & 0o777 == 0o700


async def test_a_moved_tag_is_seen_and_shared_layers_are_unpacked_once(store, registry, tmp_path):
    reference = registry.push(make(tmp_path / "a"), "store/moved")
    before = await store.resolve(reference)
    registry.push(make(tmp_path / "a", BASE, top("2")), "store/moved")
    after = await store.resolve(reference)
    assert (after.layers[0] / "top").read_bytes() == b"2"
    assert after.digest != before.digest
    assert after.layers[1] == before.layers[1]
    assert unpacked(tmp_path) == 3


async def test_a_known_image_is_not_pulled_again(store, registry, tmp_path, monkeypatch):
    reference = registry.push(make(tmp_path / "a"), "store/known")
    image = await store.resolve(reference)
    monkeypatch.setattr(store, "_pull", None)
    assert await store.resolve(reference) == image
    pinned = f"{registry.address}/store/known@{image.digest}"
    assert (await store.resolve(pinned)).digest == image.digest
    monkeypatch.setattr(store, "_look_up", None)
    assert (await store.resolve(pinned)).layers == image.layers


async def test_concurrent_calls_pull_once_and_unpack_once(store, registry, tmp_path, monkeypatch):
    first = registry.push(make(tmp_path / "a"), "store/once-a")
    second = registry.push(make(tmp_path / "b", BASE, top("other")), "store/once-b")
    pulls, unpacks = [], []
    pull, real_unpack = store._pull, unpack

    async def counted_pull(*arguments):
        pulls.append(arguments)
        return await pull(*arguments)

    def counted_unpack(*arguments):
        unpacks.append(arguments)
        real_unpack(*arguments)

    monkeypatch.setattr(store, "_pull", counted_pull)
    monkeypatch.setattr(module, "unpack", counted_unpack)
    images = await asyncio.gather(*(store.resolve(name) for name in (first, second) * 4))
    assert len({image.digest for image in images}) == 2
    assert len(pulls) == 2
    assert len(unpacks) == 3


async def test_two_daemons_may_share_a_state_folder(store, registry, tmp_path):
    reference = registry.push(make(tmp_path / "a"), "store/two")
    other = OciImageStore(tmp_path / "state")
    one, two = await asyncio.gather(store.resolve(reference), other.resolve(reference))
    assert one == two


async def test_a_cancelled_pull_leaves_nothing_half_done(store, registry, tmp_path):
    reference = registry.push(make(tmp_path / "a"), "store/cancelled")
    for delay_s in (0.0, 0.01, 0.05):
        with suppress(TimeoutError):
            await asyncio.wait_for(store.resolve(reference), delay_s)
    image = await store.resolve(reference)
    assert (image.layers[0] / "top").read_bytes() == b"1"
    assert not list((tmp_path / "state/images").glob("pull-*"))


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive"])
async def test_local_images_need_no_registry(store, tmp_path, transport):
    layout = make(tmp_path / "layout")
    reference = f"oci:{layout}:latest"
    if transport != "oci":
        reference = f"{transport}:{tmp_path}/image.tar" + (
            ":x/y:latest" if transport == "docker-archive" else ""
        )
        subprocess.run(["skopeo", "copy", "--quiet", f"oci:{layout}:latest", reference], check=True)
    image = await store.resolve(reference)
    assert (image.layers[0] / "top").read_bytes() == b"1"
    assert (await store.resolve(reference)).digest == image.digest


async def test_an_index_gives_this_machines_image(store, registry, tmp_path):
    layout = make(tmp_path / "a")
    index = json.loads((layout / "index.json").read_text())
    (entry,) = index["manifests"]
    del entry["annotations"]
    stranger = {
        **entry,
        "platform": {"architecture": "mips", "os": "linux"},
        "digest": "sha256:" + "0" * 64,
    }
    inner = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        }
    ).encode()
    (layout / "index.json").write_text(
        json.dumps({**index, "manifests": [_as_index(layout, inner)]})
    )
    image = await store.resolve(registry.push(layout, "store/index"))
    assert image.digest == entry["digest"]
    only = json.dumps({"schemaVersion": 2, "manifests": [stranger]})
    with pytest.raises(ImageError, match="only for linux/mips"):
        await _resolve_raw(store, only.encode())


def _as_index(layout: Path, data: bytes) -> dict[str, object]:
    digest = documents.digest_of(data)
    (layout / "blobs/sha256" / digest.partition(":")[2]).write_bytes(data)
    return {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest,
        "size": len(data),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }


async def _resolve_raw(store: OciImageStore, document: bytes) -> None:
    """Resolves as if the registry had answered `document`."""

    async def answer(source: str, *, plain_http: bool) -> bytes:
        return document

    store._skopeo.manifest = answer  # type: ignore[method-assign]
    await store.resolve("127.0.0.1:1/x")


@pytest.mark.parametrize(
    ("reference", "reason", "said"),
    [
        ("{address}/no/such:v1", ImageReason.UNKNOWN, "no/such"),
        ("127.0.0.1:1/x:v1", ImageReason.UNREACHABLE, "connection refused"),
        ("oci:/no/such/folder:latest", ImageReason.UNKNOWN, "/no/such/folder"),
        ("docker-archive:/no/such.tar", ImageReason.UNKNOWN, "/no/such.tar"),
        ("Not A Reference", ImageReason.UNKNOWN, "blank"),
        ("", ImageReason.UNKNOWN, "write for example"),
    ],
)
async def test_failures_have_a_reason_and_name_the_image(
    store, registry, tmp_path, reference, reason, said
):
    with pytest.raises(ImageError, match=said) as caught:
        await store.resolve(reference.format(address=registry.address))
    assert caught.value.reason is reason
    assert unpacked(tmp_path) == 0


async def test_credentials_are_used_and_never_told(tmp_path):
    with running_registry(tmp_path, htpasswd=HTPASSWD) as private:
        reference = private.push(make(tmp_path / "a"), "x", credentials="reader:correct horse")
        authfile = tmp_path / "config.json"
        store = OciImageStore(tmp_path / "state", authfile=authfile)
        with pytest.raises(ImageError) as caught:
            await store.resolve(reference)
        assert caught.value.reason is ImageReason.DENIED
        for password in ("wrong horse", "correct horse"):
            login = ["skopeo", "login", "--tls-verify=false", "--authfile", str(authfile)]
            given = subprocess.run(
                [*login, "-u", "reader", "--password-stdin", private.address],
                input=password.encode(),
                capture_output=True,
                check=False,
            )
            assert password.encode() not in given.stderr
        assert (await store.resolve(reference)).layers


@pytest.mark.parametrize("what", ["layer", "config"])
async def test_a_damaged_image_is_corrupt_and_leaves_nothing(store, tmp_path, what):
    layout = make(tmp_path / "a", BASE)
    index = json.loads((layout / "index.json").read_text())
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"].partition(":")[2]).read_text())
    descriptor = manifest["layers"][0] if what == "layer" else manifest["config"]
    blob = blobs / descriptor["digest"].partition(":")[2]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(ImageError) as caught:
        await store.resolve(f"oci:{layout}:latest")
    assert caught.value.reason is ImageReason.CORRUPT
    assert unpacked(tmp_path) == 0
    # Mended at its source, the same name works: nothing bad was kept.
    shutil.rmtree(layout)
    assert (await store.resolve(f"oci:{make(layout, BASE)}:latest")).layers


async def test_a_hostile_layer_is_corrupt(store, tmp_path):
    layout = make(tmp_path / "a", BASE, layer(archive(Item("../../../../evil", data=b"!"))))
    with pytest.raises(ImageError, match=r"a path with \.\.") as caught:
        await store.resolve(f"oci:{layout}:latest")
    assert caught.value.reason is ImageReason.CORRUPT
    assert not list(tmp_path.rglob("evil"))


async def test_without_its_registry_the_stored_image_serves(store, tmp_path):
    with running_registry(tmp_path / "r") as short:
        reference = short.push(make(tmp_path / "a"), "x")
        image = await store.resolve(reference)
    assert await store.resolve(reference) == image
    with pytest.raises(ImageError) as caught:
        await store.resolve(reference.replace("/x:", "/y:"))
    assert caught.value.reason is ImageReason.UNREACHABLE


async def test_collection_takes_what_nobody_uses(store, tmp_path, clock):
    first = await store.resolve(f"oci:{make(tmp_path / 'a')}:latest")
    second = await store.resolve(f"oci:{make(tmp_path / 'b', BASE, top('2'))}:latest")
    await store.release_unused(set())
    assert unpacked(tmp_path) == 3  # young
    clock.now_ns += 2 * YOUNG_NS
    (tmp_path / "state/layers/.unpack-old").mkdir()
    await store.release_unused({second.digest})
    assert unpacked(tmp_path) == 2
    assert all(path.is_dir() for path in second.layers)
    assert not first.layers[0].exists()
    assert not (tmp_path / "state/layers/.unpack-old").exists()
    await store.release_unused(set())
    assert unpacked(tmp_path) == 0
    assert not list((tmp_path / "state/images/blobs/sha256").iterdir())
    assert (await store.resolve(f"oci:{tmp_path / 'a'}:latest")).digest == first.digest


async def test_a_lost_layer_is_fetched_again(store, tmp_path):
    reference = f"oci:{make(tmp_path / 'a')}:latest"
    image = await store.resolve(reference)
    shutil.rmtree(image.layers[0].parent)
    assert (await store.resolve(reference)).layers == image.layers
    assert (image.layers[0] / "top").exists()
