"""`python -m tools.imagebuild.push REGISTRY`: copies build/images to a registry, plain HTTP on loopback only."""

import subprocess
import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[2] / "build" / "images"


def push(registry: str) -> list[str]:
    """Copies every image and returns their references."""
    host = registry.partition(":")[0]
    verify = "false" if host in ("127.0.0.1", "localhost") else "true"
    references = []
    for layout in sorted(path for path in IMAGES.iterdir() if (path / "index.json").exists()):
        reference = f"{registry}/{layout.name}:latest"
        subprocess.run(
            [
                "skopeo",
                "copy",
                "--quiet",
                f"--dest-tls-verify={verify}",
                f"oci:{layout}:latest",
                f"docker://{reference}",
            ],
            check=True,
        )
        references.append(reference)
    return references


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.imagebuild.push HOST:PORT")
    print("\n".join(push(sys.argv[1])))
