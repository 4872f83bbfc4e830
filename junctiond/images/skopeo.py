"""skopeo as a child process: the one program here that speaks to registries (skopeo-copy(1), skopeo-inspect(1))."""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path

from junctiond.images.base import ImageError, ImageReason
from junctiond.images.limits import MANIFEST_BYTES_MAX, STDERR_BYTES_MAX

INSPECT_TIMEOUT_S = 20
COPY_TIMEOUT_S = 1800
_KILL_WAIT_S = 5

_SYSTEM_POLICY = Path("/etc/containers/policy.json")
_ENVIRONMENT = (
    "PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip

# In this order: a registry that denies says "unauthorized" in the same line as "error reading manifest".
_CAUSES: tuple[tuple[ImageReason, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (ImageReason.DENIED, r"unauthorized|authentication required|access to the resource is denied|denied:|"
                             r"incorrect username/password|invalid username/password|status code 40[13]|40[13] \("),
        (ImageReason.CORRUPT, r"digest did not match|does not match (?:the )?(?:expected )?digest|digest mismatch|"
                              r"expected digest|unexpected end of json|invalid character|corrupt|unsupported"),
        (ImageReason.UNKNOWN, r"manifest unknown|name unknown|name invalid|not found|no such file|no image found|"
                              r"no descriptor found|cannot find|does not exist|status code 404|unknown manifest"),
        (ImageReason.UNREACHABLE, r"connection refused|no such host|timeout|timed out|no route|unreachable|reset by peer|"
                                  r"x509|tls:|server gave http response|\bEOF\b|status code 5\d\d|429|dial tcp"),
    )
)  # fmt: skip


def classify(stderr: str) -> ImageReason:
    """Reads skopeo's last words: it ends with 1 whatever went wrong."""
    for reason, pattern in _CAUSES:
        if pattern.search(stderr):
            return reason
    return ImageReason.CORRUPT


class Skopeo:
    """Runs skopeo with one set of credentials."""

    def __init__(self, authfile: Path | None = None, program: str = "skopeo") -> None:
        """`authfile` is a docker `config.json`; it may be absent until a call needs it."""
        self._authfile, self._program = authfile, program

    async def manifest(self, source: str, *, plain_http: bool) -> bytes:
        """The raw manifest or index of `source`, as the registry has it.

        Raises:
            ImageError: with the reason that skopeo's message tells.
        """
        flags = ["inspect", "--raw", *self._source_flags("", source, plain_http), source]
        return await self._run(flags, source, INSPECT_TIMEOUT_S)

    async def copy(self, source: str, layout: Path, blobs: Path, *, plain_http: bool) -> None:
        """Copies the image for this machine into the OCI layout folder `layout`, its blobs into the shared `blobs`.

        Raises:
            ImageError: with the reason that skopeo's message tells.
        """
        flags = ["copy", "--quiet", *self._source_flags("src-", source, plain_http)]
        flags += ["--dest-shared-blob-dir", str(blobs), source, f"oci:{layout}:image"]
        await self._run(flags, source, COPY_TIMEOUT_S)

    def _source_flags(self, prefix: str, source: str, plain_http: bool) -> list[str]:
        if not source.startswith("docker://"):
            return []
        flags = [f"--{prefix}tls-verify=false"] if plain_http else []
        if self._authfile is not None and self._authfile.is_file():
            flags += [f"--{prefix}authfile" if prefix == "" else "--authfile", str(self._authfile)]
        return flags

    async def _run(self, arguments: Sequence[str], source: str, timeout_s: float) -> bytes:
        # A host with its own signature policy keeps it; one without would otherwise refuse every image.
        policy = () if _SYSTEM_POLICY.exists() else ("--insecure-policy",)
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                *policy,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ImageError(
                ImageReason.UNREACHABLE,
                f"{self._program} is not installed; install the Debian package skopeo",
            ) from None
        try:
            async with asyncio.timeout(timeout_s):
                output, errors = await _both(process)
                status = await process.wait()
        except TimeoutError:
            raise ImageError(
                ImageReason.UNREACHABLE,
                f"{source}: no answer in {timeout_s:.0f} s; check the registry and the network",
            ) from None
        finally:
            await _end(process)
        if status != 0:
            text = errors.decode(errors="replace")
            raise ImageError(classify(text), f"{source}: {_last_words(text)}")
        return output


async def _both(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        output = group.create_task(_bounded(process.stdout, MANIFEST_BYTES_MAX + 1))
        errors = group.create_task(_bounded(process.stderr, STDERR_BYTES_MAX))
    return output.result(), errors.result()


async def _bounded(stream: asyncio.StreamReader, bytes_max: int) -> bytes:
    """Reads to the end, so that the writer never blocks, and keeps the first `bytes_max`."""
    kept = bytearray()
    while data := await stream.read(1 << 16):
        kept += data[: bytes_max - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.kill()
    async with asyncio.timeout(_KILL_WAIT_S):
        await process.wait()


def _last_words(stderr: str) -> str:
    """The message of skopeo's last log line, without its time and level."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    if not lines:
        return "skopeo gave no reason"
    match = re.search(r'msg="((?:[^"\\]|\\.)*)"', lines[-1])
    return (match[1].replace('\\"', '"') if match else lines[-1])[:1000]
