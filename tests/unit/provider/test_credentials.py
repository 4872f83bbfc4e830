import os
import stat
import threading
from pathlib import Path

import pytest

from provider import credentials
from provider.credentials import CredentialsError


def test_made_once_with_safe_modes(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "secrets"
    made = credentials.ensure(folder)
    assert made.user == "admin"
    assert len(made.password) == 63
    assert made.password.isalnum()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("basic-auth-user", "basic-auth-password"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert credentials.ensure(folder) == made == credentials.load(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "basic-auth-password",
        "basic-auth-user",
    ]


def test_the_umask_does_not_matter(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        credentials.ensure(tmp_path / "s")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "s" / "basic-auth-password").stat().st_mode) == 0o600


def test_an_own_account_is_kept_and_stripped(tmp_path: Path) -> None:
    (tmp_path / "basic-auth-user").write_text("me\n")
    (tmp_path / "basic-auth-password").write_text("  my password \n")
    assert credentials.ensure(tmp_path) == credentials.Credentials("me", "my password")


def test_the_password_is_not_in_repr(tmp_path: Path) -> None:
    made = credentials.ensure(tmp_path / "s")
    assert made.password not in repr(made)


def test_racing_starts_agree(tmp_path: Path) -> None:
    found: set[str] = set()
    threads = [
        threading.Thread(target=lambda: found.add(credentials.ensure(tmp_path / "s").password))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_empty_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="basic-auth-user"):
        credentials.load(tmp_path)
    (tmp_path / "basic-auth-password").write_text(" \n")
    with pytest.raises(CredentialsError, match="empty; remove it"):
        credentials.ensure(tmp_path)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsError, match="--secrets-dir"):
        credentials.ensure(tmp_path / "file")
