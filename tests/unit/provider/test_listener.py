import os
import socket
import stat
from pathlib import Path

import pytest

from provider import listener
from provider.listener import ListenError


def test_unix_sockets_are_private(tmp_path: Path) -> None:
    path = tmp_path / "run" / "provider.sock"
    before = os.umask(0)
    try:
        with listener.bind(f"unix:{path}") as bound:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert listener.shown(bound) == f"unix:{path}"
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(path))
                accepted, _ = bound.accept()
                with accepted:
                    assert listener.peer_allowed(accepted)
    finally:
        os.umask(before)


def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        monkeypatch.setattr(listener, "_PEER_CREDENTIALS", _Stranger())
        assert not listener.peer_allowed(ours)


class _Stranger:
    size = 12

    def unpack(self, packed: bytes) -> tuple[int, int, int]:
        return 1, 4_000_000, 4_000_000


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 's'}"
    listener.bind(address).close()
    with listener.bind(address), pytest.raises(ListenError, match="another process serves it"):
        listener.bind(address)


def test_a_file_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ListenError, match="no socket"):
        listener.bind(f"unix:{tmp_path / 's'}")
    assert (tmp_path / "s").read_text() == "precious"


def test_tcp() -> None:
    with listener.bind("tcp:127.0.0.1:0") as bound:
        address = listener.shown(bound)
        assert address.startswith("tcp:127.0.0.1:")
        with pytest.raises(ListenError, match="in use"):
            listener.bind(address)
    with listener.bind("tcp:[::1]:0") as bound:
        assert listener.shown(bound).startswith("tcp:[::1]:")


@pytest.mark.parametrize(
    "address", ["", "unix:", "tcp:", "tcp:x", "tcp::80", "tcp:a:99999", "x:y:1"]
)
def test_malformed(address: str) -> None:
    with pytest.raises(ListenError, match="give unix:PATH or tcp:HOST:PORT"):
        listener.bind(address)
