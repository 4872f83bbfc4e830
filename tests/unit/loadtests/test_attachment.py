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
        {"sandbox": "aes.openfaas-fn.1", "ring_connections": 2, "wakes_to_guest": 5},
        {"sandbox": "aes.openfaas-fn.2", "ring_leaves": 1, "wakes_avoided": 7},
        {"sandbox": "aes-fd.openfaas-fn.3", "ring_connections": 9},
    ]
    assert Rings.of(sandboxes, "aes") == Rings(connections=2, leaves=1, told=12)
    assert Rings.of(sandboxes, "hello") == NONE


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (NONE, "fd"),
        (Rings(connections=1, told=0), "fd"),
        (Rings(connections=1, told=1000), "ring"),
        (Rings(connections=1, told=2300), "ring"),
        (Rings(connections=1, told=500), "mixed"),
        (Rings(connections=0, told=1000), "mixed"),
        (Rings(connections=1, leaves=1, told=1000), "mixed"),
    ],
)
def test_attachment_of_a_thousand_invocations(after, expected):
    assert carried(NONE, after, 1000) == expected
    assert carried(
        Rings(told=10), Rings(after.connections, after.leaves, after.told + 10), 1000
    ) == (expected)


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
    stats = {"sandboxes": [{"sandbox": "aes.x.1", "ring_connections": 3}]}
    replies = [{"id": 1, "ok": {}}, {"event": "attached", "sandbox": "x"}, {"id": 2, "ok": stats}]
    thread = answering(path, replies)
    assert read(path, "aes") == Rings(connections=3)
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
