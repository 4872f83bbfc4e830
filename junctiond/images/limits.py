"""Bounds on what an image may make this host do. A registry and its layers are not trusted."""

from dataclasses import dataclass

MIB = 1 << 20

MANIFEST_BYTES_MAX = 4 * MIB
"""As registries bound it (OCI distribution-spec, "Pushing Manifests")."""

CONFIG_BYTES_MAX = 8 * MIB
IMAGE_BYTES_MAX = 64 << 30
"""Of all compressed layers, as the manifest declares them: refused before anything is fetched."""

PULLS_MAX = 4
"""Images fetched at once; more would only share the same line and disk."""

LAYERS_MAX = 127
"""Docker's own bound; the kernel's overlay takes 500 lower directories."""

INDEX_DEPTH_MAX = 3
"""An index may name an index; more than this many levels is a loop or a joke."""

STDERR_BYTES_MAX = 64 << 10


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """Bounds on one unpacked layer."""

    bytes_max: int = 16 << 30
    """Of the decompressed archive: stops a decompression bomb."""

    entries_max: int = 1_000_000
    """Stops an archive of empty files from using up the inodes."""

    path_bytes_max: int = 4095
    """PATH_MAX without its end mark (limits.h)."""

    depth_max: int = 256
    symlinks_max: int = 40
    """Followed in one path, as the kernel does (path_resolution(7))."""

    read_bytes_max: int = MIB
    """Of one archive header: tar's extended headers are read into memory whole."""
