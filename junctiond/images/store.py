"""The store: resolves a reference to layers on this host's disk, and takes away what nobody uses.

    STATE/images/blobs/sha256/HEX      as registries have them, shared by all images
    STATE/images/records, names        what is unpacked, and which reference meant it (records.py)
    STATE/layers/sha256-HEX/diff       one unpacked layer, HEX of its diff id, never written again

A layer appears under its final name by rename, so what is there is whole. The folders are closed to other users: a layer
may hold programs with the set-user-id bit.
"""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from junctiond.images import manifest as documents
from junctiond.images.archive import CorruptLayer
from junctiond.images.base import Image, ImageError, ImageReason
from junctiond.images.collection import YOUNG_NS, unused
from junctiond.images.layer import unpack
from junctiond.images.limits import (
    CONFIG_BYTES_MAX,
    INDEX_DEPTH_MAX,
    MANIFEST_BYTES_MAX,
    PULLS_MAX,
    LayerLimits,
)
from junctiond.images.locks import KeyedLocks, file_lock
from junctiond.images.manifest import InvalidManifest, NoImageForThisMachine
from junctiond.images.records import Record, Records
from junctiond.images.reference import InvalidReference, Reference, RegistryReference, parse
from junctiond.images.skopeo import Skopeo

_log = logging.getLogger(__name__)


class OciImageStore:
    """`ImageStore` on this host's disk, filled by skopeo."""

    def __init__(
        self,
        state: Path,
        *,
        authfile: Path | None = None,
        plain_http_registries: frozenset[str] = frozenset(),
        limits: LayerLimits | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Opens or makes the store under the state directory.

        Args:
            state: STATE of docs/protocols.md.
            authfile: docker `config.json` with the registries' credentials.
            plain_http_registries: `HOST[:PORT]` that may be spoken to without TLS; loopback ones always may.
            limits: bounds on one layer.
            clock_ns: Unix time in nanoseconds.
        """
        self._images, self._layers = state / "images", state / "layers"
        for folder in (self._images, self._layers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._blobs = self._images / "blobs"
        self._blobs.mkdir(exist_ok=True)
        self._records = Records(self._images)
        self._locks = KeyedLocks(self._images / "locks")
        self._plain_http = plain_http_registries
        self._limits = limits or LayerLimits()
        self._clock_ns = clock_ns
        self._skopeo = Skopeo(authfile)
        self._pulls = asyncio.Semaphore(PULLS_MAX)

    async def resolve(self, reference: str) -> Image:
        """The image, pulled first where it is not here; concurrent calls for one image pull once.

        A tag is looked up again on every call, so a moved tag is seen. Where the registry cannot be reached, the image
        that the name last meant is used, if it is here; a digest never needs the registry twice.

        Raises:
            ImageError: with the reason as the caller should see it.
        """
        try:
            parsed = parse(reference)
        except InvalidReference as error:
            raise ImageError(ImageReason.UNKNOWN, f"{reference[:200]}: {error}") from None
        try:
            record = await self._find(parsed)
        except InvalidManifest as error:
            raise ImageError(ImageReason.CORRUPT, f"{parsed}: {error}") from None
        layers = tuple(self._layer(diff_id) for diff_id in reversed(record.diff_ids))
        return Image(str(parsed), record.digest, layers, record.config)

    async def release_unused(self, used: set[str]) -> None:
        """Removes images whose manifest digest is not in `used`, and the layers and blobs that only they had.

        Images younger than a few minutes stay: their deployment may not have reached the caller's set yet.
        """
        async with file_lock(self._images / "lock", shared=False):
            await asyncio.to_thread(self._collect, used)

    async def _find(self, reference: Reference) -> Record:
        name = str(reference)
        pinned = reference.digest if isinstance(reference, RegistryReference) else None
        if pinned and (record := await self._stored(name)):
            return record
        try:
            digest, source = await self._look_up(reference)
        except ImageError as error:
            if error.reason is not ImageReason.UNREACHABLE:
                raise
            record = await self._stored(name)
            if record is None:
                raise
            _log.warning("registry unreachable, using the stored image", extra={"image": name})
            return record
        async with file_lock(self._images / "lock", shared=True):
            async with self._locks.hold(digest.replace(":", "-")):
                record = self._here(digest)
                if record is None:
                    async with self._pulls:
                        record = await self._pull(reference, digest, source)
            self._records.put_name(name, digest)
            return self._touch(record)

    async def _stored(self, name: str) -> Record | None:
        """What the name last meant, if it is whole on this disk."""
        async with file_lock(self._images / "lock", shared=True):
            record = self._here(self._records.digest_of(name))
            return self._touch(record) if record else None

    def _touch(self, record: Record) -> Record:
        """Makes an image young again, so that collection leaves it to the deployment that asks for it now."""
        now_ns = self._clock_ns()
        if now_ns - record.stored_at_ns < YOUNG_NS // 2:
            return record
        touched = msgspec.structs.replace(record, stored_at_ns=now_ns)
        self._records.put_image(touched)
        return touched

    def _here(self, digest: str | None) -> Record | None:
        """The image if it is whole on this disk."""
        record = self._records.image(digest) if digest else None
        if record is None or not all(self._layer(diff_id).is_dir() for diff_id in record.diff_ids):
            return None
        return record

    async def _look_up(self, reference: Reference) -> tuple[str, str]:
        """The digest of the image for this machine, and the source that names exactly it."""
        source = reference.source()
        architecture = documents.host_architecture()
        for _ in range(INDEX_DEPTH_MAX):
            data = await self._skopeo.manifest(source, plain_http=self._may_be_plain(reference))
            digest = documents.digest_of(data)
            try:
                chosen = documents.choose(data, architecture)
            except NoImageForThisMachine as error:
                raise ImageError(ImageReason.UNKNOWN, f"{reference}: {error}") from None
            if not isinstance(reference, RegistryReference):
                # A layout is copied by its name; skopeo makes the same choice from its index.
                return (chosen.digest if chosen else digest), source
            if chosen is None:
                documents.parse_manifest(
                    data
                )  # outside our bounds: refused before anything is fetched
                return digest, reference.source(digest)
            source = reference.source(chosen.digest)
        raise ImageError(ImageReason.CORRUPT, f"{reference}: an index in an index, again and again")

    def _may_be_plain(self, reference: Reference) -> bool:
        return isinstance(reference, RegistryReference) and (
            reference.loopback or reference.registry in self._plain_http
        )

    async def _pull(self, reference: Reference, digest: str, source: str) -> Record:
        with tempfile.TemporaryDirectory(prefix="pull-", dir=self._images) as folder:
            layout = Path(folder) / "layout"
            await self._skopeo.copy(
                source, layout, self._blobs, plain_http=self._may_be_plain(reference)
            )
            # The manifest may be another than the registry's: skopeo turns Docker's form into OCI's on the way.
            index = (layout / "index.json").read_bytes()
        copied = documents.choose(index, documents.host_architecture())
        if copied is None:
            raise InvalidManifest("skopeo wrote a layout without an image")
        manifest = documents.parse_manifest(self._document(copied, MANIFEST_BYTES_MAX))
        parsed = documents.parse_config(self._document(manifest.config, CONFIG_BYTES_MAX))
        if len(parsed.diff_ids) != len(manifest.layers):
            raise InvalidManifest(
                f"{len(manifest.layers)} layers but {len(parsed.diff_ids)} diff ids"
            )
        for descriptor, diff_id in zip(manifest.layers, parsed.diff_ids, strict=True):
            await self._unpack(str(reference), descriptor, diff_id)
        blobs = (
            copied.digest,
            manifest.config.digest,
            *(layer.digest for layer in manifest.layers),
        )
        record = Record(digest, blobs, parsed.diff_ids, parsed.config, self._clock_ns())
        self._records.put_image(record)
        return record

    def _document(self, descriptor: documents.Descriptor, bytes_max: int) -> bytes:
        path = self._blob(descriptor.digest)
        if path.stat().st_size > bytes_max:
            raise InvalidManifest(f"a document of more than {bytes_max} bytes")
        data = path.read_bytes()
        if documents.digest_of(data, descriptor.digest.partition(":")[0]) != descriptor.digest:
            path.unlink()
            raise InvalidManifest(
                f"the blob {descriptor.digest} was damaged on disk; deploy again to fetch it anew"
            )
        return data

    async def _unpack(self, reference: str, blob: documents.Descriptor, diff_id: str) -> None:
        final = self._layer(diff_id).parent
        async with self._locks.hold(f"layer-{diff_id.replace(':', '-')}"):
            if final.is_dir():
                return
            try:
                await asyncio.to_thread(self._unpack_to, final, blob.digest, diff_id)
            except CorruptLayer as error:
                # A blob that is not what it says would be taken for it again by the next pull.
                self._blob(blob.digest).unlink(missing_ok=True)
                raise ImageError(
                    ImageReason.CORRUPT,
                    f"{reference}: layer {blob.digest}: {error}; build and push the image again",
                ) from None

    def _unpack_to(self, final: Path, digest: str, diff_id: str) -> None:
        temporary = Path(tempfile.mkdtemp(prefix=".unpack-", dir=self._layers))
        try:
            diff = temporary / "diff"
            diff.mkdir()
            diff.chmod(0o755)
            unpack(self._blob(digest), digest, diff_id, diff, self._limits)
            try:
                temporary.rename(final)
            except OSError:
                # A cancelled caller's thread may have finished the same layer meanwhile.
                if not final.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _collect(self, used: set[str]) -> None:
        blobs = {f"{path.parent.name}:{path.name}" for path in self._blobs.glob("*/*")}
        layers = {path.name.replace("-", ":", 1) for path in self._layers.glob("sha*-*")}
        doomed = unused(tuple(self._records.images()), blobs, layers, used, self._clock_ns())
        for digest in doomed.images:
            self._records.remove_image(digest)
        for digest in doomed.blobs:
            self._blob(digest).unlink(missing_ok=True)
        leftovers = [*self._layers.glob(".unpack-*"), *self._images.glob("pull-*")]
        for path in [*(self._layer(diff_id).parent for diff_id in doomed.layers), *leftovers]:
            shutil.rmtree(path, ignore_errors=True)
        _log.info(
            "collected images",
            extra={
                "images": len(doomed.images),
                "layers": len(doomed.layers),
                "blobs": len(doomed.blobs),
            },
        )

    def _blob(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        return self._blobs / algorithm / value

    def _layer(self, diff_id: str) -> Path:
        return self._layers / diff_id.replace(":", "-") / "diff"
