"""Image references: the grammar of what a deployment may write in `image`.

    docker://HOST[:PORT]/PATH[:TAG][@DIGEST]   also without the scheme, and in Docker Hub's short forms
    oci:FOLDER[:TAG]                           an OCI layout folder
    oci-archive:FILE[:TAG]                     the same as one tar file
    docker-archive:FILE[:NAME:TAG]             what `docker save` writes

Sources: distribution's reference grammar (pkg.go.dev/github.com/distribution/reference), containers-transports(5).
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
REFERENCE_CHARS_MAX = 4096
REPOSITORY_CHARS_MAX = 255

LOCAL_TRANSPORTS = ("oci-archive", "docker-archive", "oci")

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class InvalidReference(ValueError):
    """A reference that no image can have; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class RegistryReference:
    """An image of a registry, every default filled in."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        """The full name, as `docker pull` would print it."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    def source(self, digest: str | None = None) -> str:
        """The name in skopeo's form, pinned to `digest` where one is given.

        skopeo refuses a name with both a tag and a digest, so a digest drops the tag.
        """
        pinned = digest or self.digest
        suffix = f"@{pinned}" if pinned else f":{self.tag}"
        return f"docker://{self.registry}/{self.repository}{suffix}"

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, where plain HTTP leaks nothing."""
        host = _host_of(self.registry)
        if host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class LocalReference:
    """An image in a folder or a file of this host."""

    transport: str
    path: str
    name: str | None

    def __str__(self) -> str:
        """The reference as it was written."""
        return f"{self.transport}:{self.path}" + (f":{self.name}" if self.name else "")

    def source(self) -> str:
        """The name in skopeo's form."""
        return str(self)


Reference = RegistryReference | LocalReference


def parse(text: str) -> Reference:
    """Reads a reference.

    Raises:
        InvalidReference: it has no meaning; the message names the part at fault.
    """
    if not text:
        raise InvalidReference(
            "the image is empty; write for example docker.io/library/alpine:3.20"
        )
    if len(text) > REFERENCE_CHARS_MAX:
        raise InvalidReference(
            f"the image reference is longer than {REFERENCE_CHARS_MAX} characters"
        )
    if any(ord(char) < 0x21 or ord(char) == 0x7F for char in text):
        raise InvalidReference("the image reference holds a blank or a control character")
    for transport in LOCAL_TRANSPORTS:
        if text.startswith(f"{transport}:"):
            return _parse_local(transport, text[len(transport) + 1 :])
    return _parse_registry(text.removeprefix("docker://"))


def _parse_local(transport: str, rest: str) -> LocalReference:
    path, _, name = rest.partition(":")
    if not path.startswith("/"):
        raise InvalidReference(f"{transport}: needs an absolute path, not {path or 'nothing'}")
    if name and transport == "docker-archive":
        _parse_registry(name)
    elif name and not _TAG.fullmatch(name):
        raise InvalidReference(f"{name} is no valid tag")
    return LocalReference(transport, path, name or None)


def _parse_registry(text: str) -> RegistryReference:
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidReference(
            f"{digest or 'nothing'} is no valid digest; expected sha256: and 64 hex digits"
        )
    registry, path = _split_registry(name)
    repository, colon, tag = path.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidReference(f"{tag or 'nothing'} is no valid tag")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if len(repository) > REPOSITORY_CHARS_MAX or not _REPOSITORY.fullmatch(repository):
        raise InvalidReference(
            f"{repository or 'nothing'} is no valid repository name; only a-z, 0-9 and . _ - / are allowed"
        )
    if not tag and not digest:
        tag = DEFAULT_TAG
    return RegistryReference(registry, repository, tag or None, digest or None)


def _split_registry(name: str) -> tuple[str, str]:
    """The first component is a registry where it could not be a repository: it has a dot, a port, or is localhost."""
    first, slash, rest = name.partition("/")
    if not slash or not (first == "localhost" or "." in first or ":" in first):
        return DEFAULT_REGISTRY, name
    if not _HOST.fullmatch(first):
        raise InvalidReference(f"{first} is no valid registry address")
    if first in ("index.docker.io", "registry-1.docker.io"):
        first = DEFAULT_REGISTRY
    return first, rest


def _host_of(registry: str) -> str:
    if registry.startswith("["):
        return registry[1:].partition("]")[0]
    return registry.partition(":")[0]
