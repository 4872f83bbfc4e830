"""Which images, layers and blobs nobody needs any more. Decides only; the store removes."""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from junctiond.images.records import Record

YOUNG_NS = 10 * 60 * 1_000_000_000
"""An image this new is kept: it was resolved for a deployment that may not be stored yet."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """What can go: manifest digests, blob digests and diff ids."""

    images: frozenset[str]
    blobs: frozenset[str]
    layers: frozenset[str]


def unused(
    records: Iterable[Record], blobs: Set[str], layers: Set[str], used: Set[str], now_ns: int
) -> Doomed:
    """Everything that no used or young image names.

    Args:
        records: the images of the store.
        blobs: digests of the blobs on disk.
        layers: diff ids of the unpacked layers on disk.
        used: manifest digests of the images in use.
        now_ns: Unix time.
    """
    images: set[str] = set()
    blobs_kept: set[str] = set()
    layers_kept: set[str] = set()
    for record in records:
        if record.digest in used or now_ns - record.stored_at_ns < YOUNG_NS:
            blobs_kept.update(record.blobs)
            layers_kept.update(record.diff_ids)
        else:
            images.add(record.digest)
    return Doomed(frozenset(images), frozenset(blobs - blobs_kept), frozenset(layers - layers_kept))
