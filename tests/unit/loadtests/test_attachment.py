"""Goal: no figure claims rings that were not used."""

import json
import socket
import struct
import threading
from pathlib import Path

import pytest

from loadtests.attachment import ControlRefused, Rings, carried, read

NONE = Rings()


def test_counters_of_one_function_only():
    sandboxes = [
        {"sandbox": "aes.openfaas-fn.1", "ring_bytes_to_guest": 2, "ring_bytes_to_host": 5},
        {"sandbox": "aes.openfaas-fn.2", "ring_leaves": 1, "ring_bytes_to_guest": 7},
        {"sandbox": "aes-fd.openfaas-fn.3", "ring_bytes_to_guest": 9},
    ]
    assert Rings.of(sandboxes, "aes") == Rings(leaves=1, bytes_to_guest=9, bytes_to_host=5)
    assert Rings.of(sandboxes, "hello") == NONE


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (NONE, "fd"),
        (Rings(leaves=3), "fd"),
        (Rings(bytes_to_guest=700_000, bytes_to_host=700_000), "ring"),
        (Rings(bytes_to_guest=595_000, bytes_to_host=99_500), "ring"),
        (Rings(bytes_to_guest=300_000, bytes_to_host=700_000), "mixed"),
        (Rings(bytes_to_guest=700_000, bytes_to_host=0), "mixed"),
        (Rings(leaves=1, bytes_to_guest=700_000, bytes_to_host=700_000), "mixed"),
    ],
)
def test_attachment_of_a_thousand_invocations(after: Rings, expected: str):
    assert carried(NONE, after, 1000) == expected
    later = Rings(after.leaves, after.bytes_to_guest + 10, after.bytes_to_host + 10)
    assert carried(Rings(0, 10, 10), later, 1000) == expected


def answering(path: Path, replies: list[dict[str, object]]) -> threading.Thread:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        peer, _ = server.accept()
        with server, peer:
            for reply in replies:
                body = json.dumps(reply).encode()
                peer.sendall(struct.pack("<I", len(body)) + body)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_statistics_pass_over_events(tmp_path: Path):
    path = tmp_path / "control.sock"
    stats = {"sandboxes": [{"sandbox": "aes.x.1", "ring_leaves": 3}]}
    replies: list[dict[str, object]] = [
        {"id": 1, "ok": {}},
        {"event": "attached", "sandbox": "x"},
        {"id": 2, "ok": stats},
    ]
    thread = answering(path, replies)
    assert read(path, "aes") == Rings(leaves=3)
    thread.join(5)


def test_a_door_that_refuses_or_hangs_up_is_told(tmp_path: Path):
    with pytest.raises(ControlRefused, match="nobody"):
        read(tmp_path / "nobody.sock", "aes")
    refusing = tmp_path / "refusing.sock"
    answering(refusing, [{"id": 1, "error": {"code": "version", "message": "old"}}])
    with pytest.raises(ControlRefused, match="version"):
        read(refusing, "aes")
    silent = tmp_path / "silent.sock"
    answering(silent, [{"id": 1, "ok": {}}])
    with pytest.raises(ControlRefused, match="hung up"):
        read(silent, "aes")
