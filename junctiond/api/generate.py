"""Regenerates `junctiond/api/_pb` from `host.proto`: `python -m junctiond.api.generate`.

The generated code is checked in, so that running the daemon needs no compiler; a test runs `generate` into an
empty folder and compares, so that the two cannot drift apart.
"""

import sys
from pathlib import Path

PROTO = Path(__file__).with_name("host.proto")
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "junctiond/api/_pb"


def generate(target_root: Path) -> list[Path]:
    """Writes the modules under `target_root`/junctiond/api/_pb and returns their paths.

    Raises:
        RuntimeError: the protobuf compiler refused `host.proto` (its message is on standard error).
    """
    # Imported here: grpcio-tools is a development dependency.
    from grpc_tools import protoc

    out = target_root / PACKAGE
    out.mkdir(parents=True, exist_ok=True)
    # The virtual path on the left makes the generated imports absolute (`junctiond.api._pb`).
    status = protoc.main(
        [
            "protoc",
            f"-I{PACKAGE}={PROTO.parent}",
            f"--python_out={target_root}",
            f"--pyi_out={target_root}",
            f"--grpc_python_out={target_root}",
            str(PROTO),
        ]
    )
    if status != 0:
        raise RuntimeError(f"protoc ended with status {status}")
    return sorted(path for path in out.glob("host_pb2*"))


if __name__ == "__main__":
    for path in generate(ROOT):
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
