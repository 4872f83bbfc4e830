"""`python -m tools.imagebuild`: builds every image of functions/ into build/images/NAME."""

import platform
import time
from pathlib import Path

from tools.imagebuild.images import Places, all_images
from tools.imagebuild.layout import write

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> None:
    """Builds, and says what it made."""
    architecture = ARCHITECTURES[platform.machine()]
    target = ROOT / "build" / "images"
    target.mkdir(parents=True, exist_ok=True)
    started_ns = time.monotonic_ns()
    for spec in all_images(Places(ROOT / "functions", ROOT / ".cache", architecture)):
        digest = write(spec, target / spec.name, architecture)
        size_mib = sum(len(one.blob) for one in spec.layers) / (1 << 20)
        print(f"{spec.name:12} {digest[:19]}  {len(spec.layers)} layers  {size_mib:6.1f} MiB")
    print(f"built in {(time.monotonic_ns() - started_ns) / 1e9:.1f} s")


if __name__ == "__main__":
    main()
