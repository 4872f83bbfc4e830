"""Secrets of functions: one file each, STATE/function-secrets/NAMESPACE/NAME, mode 0400, replaced by rename.

Values go in and never come out of the API; keepers copy the files into their sandbox at launch.
"""

import os
import secrets as randomness
import shutil
from pathlib import Path

from junctiond import limits, names
from junctiond.errors import HostError, Reason


class SecretFiles:
    """The secrets below one directory. Every name is checked here before it becomes a path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, namespace: str) -> list[str]:
        """Names in a namespace, sorted."""
        folder = self._root / names.check_namespace(namespace)
        if not folder.is_dir():
            return []
        return sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))

    def put(self, namespace: str, name: str, value: bytes) -> bool:
        """Writes a secret whole or not at all; true where it was not there before.

        Raises:
            HostError: bad_name or secret_invalid.
        """
        path = self._path(namespace, name)
        if len(value) > limits.SECRET_BYTES_MAX:
            raise HostError(
                Reason.SECRET_INVALID,
                f"secret {name} has {len(value)} bytes; at most {limits.SECRET_BYTES_MAX} are kept",
            )
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        created = not path.exists()
        # A leading dot is no legal secret name: a leftover of a crash never shows up as a secret.
        temporary = path.parent / f".{name[:64]}.{randomness.token_hex(8)}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(value)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return created

    def delete(self, namespace: str, name: str) -> None:
        """Removes a secret.

        Raises:
            HostError: secret_unknown where it is not there.
        """
        try:
            self._path(namespace, name).unlink()
        except FileNotFoundError:
            text = f"secret {name} not found in namespace {namespace}"
            raise HostError(Reason.SECRET_UNKNOWN, text) from None

    def find(self, namespace: str, name: str) -> Path:
        """The file of a secret that a deployment names.

        Raises:
            HostError: secret_unknown where it is not there.
        """
        path = self._path(namespace, name)
        if not path.is_file():
            raise HostError(Reason.SECRET_UNKNOWN, f"unable to find secret: {name}")
        return path

    def delete_namespace(self, namespace: str) -> None:
        """Removes every secret of a namespace."""
        shutil.rmtree(self._root / names.check_namespace(namespace), ignore_errors=True)

    def _path(self, namespace: str, name: str) -> Path:
        return self._root / names.check_namespace(namespace) / names.check_secret(name)
