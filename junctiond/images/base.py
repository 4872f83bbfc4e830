"""What the daemon asks of images; the store in this package and the fake both keep to it."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class ImageReason(StrEnum):
    """Why an image is not there; the same words as the host API uses."""

    UNKNOWN = "image_unknown"
    CORRUPT = "image_corrupt"
    UNREACHABLE = "registry_unreachable"
    DENIED = "registry_denied"


class ImageError(Exception):
    """An image could not be resolved. The message names the reference and the mend, never a credential."""

    def __init__(self, reason: ImageReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an OCI image configuration that a launch needs (OCI image-spec, config.md)."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    exposed_ports: tuple[int, ...] = ()
    """TCP ports, ascending."""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """An image unpacked on this host. `layers` are directories, top first, shared and never written."""

    reference: str
    digest: str
    layers: tuple[Path, ...]
    config: ImageConfig


class ImageStore(Protocol):
    """Images of this host."""

    async def resolve(self, reference: str) -> Image:
        """The image, pulled first where it is not here; concurrent calls for one image pull once.

        Raises:
            ImageError: with the reason as the caller should see it.
        """
        ...

    async def release_unused(self, used: set[str]) -> None:
        """Removes images and layers whose digest is not in `used` (manifest digests)."""
        ...
