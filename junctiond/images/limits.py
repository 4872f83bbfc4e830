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
    """Entries and the folders made for them together: stops an archive of empty files from using up the inodes."""

    duration_s_max: float = 900.0
    """Of the whole unpacking: what takes longer was made to keep one of the few threads for pulls."""

    path_bytes_max: int = 4095
    """PATH_MAX without its end mark (limits.h)."""

    depth_max: int = 64
    """Folders in one path; each missing one is made, so a short entry may not ask for hundreds."""

    remembered_bytes_max: int = 64 * MIB
    """Of the folders whose times are set at the end and of the whiteouts, which are kept in memory."""

    symlinks_max: int = 40
    """Followed in one path, as the kernel does (path_resolution(7))."""

    read_bytes_max: int = MIB
    """Of one archive header: tar's extended headers are read into memory whole."""

    header_bytes_max: int = 2 * MIB
    """Of all headers before one entry: each may announce a further one, and all are held together."""

    global_bytes_max: int = 64 << 10
    """Of the headers that hold for every later entry, which copies them; tools write one short comment."""
