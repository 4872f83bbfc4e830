"""The one account of the gateway: user and password in two files, as OpenFaaS keeps them.

`ensure()` makes them where they are absent, so that authentication is on without any set-up. The
password is never logged or printed; the documented way to it is to read the file as root.
"""

import os
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

USER_FILE: Final = "basic-auth-user"
PASSWORD_FILE: Final = "basic-auth-password"
USER_DEFAULT: Final = "admin"
PASSWORD_CHARS: Final = 63
_FILE_BYTES_MAX: Final = 4096
_ALPHABET: Final = string.ascii_letters + string.digits


class CredentialsError(Exception):
    """The credential files cannot be read or made; the message names the file and the mend."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password; the password is left out of `repr` so that no traceback shows it."""

    user: str
    password: str = field(repr=False)


def ensure(directory: Path) -> Credentials:
    """Read the credentials of `directory`, first making what is absent.

    The directory gets mode 0700 and each file 0600. Safe to call from two processes at once: a
    file appears complete or not at all, and the first one wins.

    Raises:
        CredentialsError: a file is unreadable, empty, or cannot be written.
    """
    try:
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
        _create(directory / USER_FILE, USER_DEFAULT)
        _create(directory / PASSWORD_FILE, _password())
    except OSError as fault:
        raise CredentialsError(
            f"cannot make credentials in {directory}: {fault.strerror}; "
            "run as root or choose another folder with --secrets-dir"
        ) from fault
    return load(directory)


def load(directory: Path) -> Credentials:
    """Read existing credentials; surrounding white space is not part of them.

    Raises:
        CredentialsError: a file is absent, unreadable or empty.
    """
    return Credentials(_read(directory / USER_FILE), _read(directory / PASSWORD_FILE))


def _password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_CHARS))


def _create(path: Path, text: str) -> None:
    if path.exists():
        return
    # Written aside and linked: a link fails where the name exists, so a racing writer never
    # replaces a password that somebody may already have read.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as fault:
        raise CredentialsError(
            f"cannot read {path}: {fault}; remove it to have it made anew"
        ) from fault
    if not text.strip():
        raise CredentialsError(f"{path} is empty; remove it to have it made anew")
    return text.strip()
