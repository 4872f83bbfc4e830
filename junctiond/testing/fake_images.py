"""An image store without registries. Every reference exists unless `known` is set; layers are an empty folder."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from junctiond.images.base import Image, ImageConfig, ImageError, ImageReason


@dataclass(slots=True)
class FakeImages:
    """`ImageStore` in memory."""

    folder: Path
    config: ImageConfig = field(default_factory=lambda: ImageConfig(entrypoint=("/handler",)))
    configs: dict[str, ImageConfig] = field(default_factory=dict)
    known: set[str] | None = None
    fail_next: ImageError | None = None
    resolved: list[str] = field(default_factory=list)
    pull_s: float = 0.0

    async def resolve(self, reference: str) -> Image:
        """See `ImageStore`."""
        self.resolved.append(reference)
        await asyncio.sleep(self.pull_s)
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error
        if self.known is not None and reference not in self.known:
            raise ImageError(ImageReason.UNKNOWN, f"unable to pull image {reference}: not found")
        digest = f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.configs.get(reference, self.config)
        return Image(reference, digest, (self.folder,), config)

    async def release_unused(self, used: set[str]) -> None:
        """See `ImageStore`."""
