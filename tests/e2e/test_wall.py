"""Goal: a function that serves has no kernel network socket, and nothing it tries gets it one, or out.

Method: a static C guest (`guests/wall.c`) tries from inside and reports; the host looks at the same descriptors from outside.
"""

import ctypes
import errno
import os
import socket
from typing import Any

import psutil
import pytest

from tests.e2e.instance import Instance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PIDFD_GETFD = 438
REFUSED = {errno.EPERM, errno.EACCES}


@pytest.fixture(scope="module")
def seen(instance: Instance, guest_deployed) -> Any:
    """What the guest reports about itself."""
    answer = instance.invoke(guest_deployed("wall"))
    assert answer.status_code == 200
    return answer.json()


def test_the_guests_namespace_holds_no_socket_while_it_serves(seen: dict[str, Any]) -> None:
    assert {seen["net"][table] for table in ("tcp", "tcp6", "udp", "raw", "packet", "unix")} <= {
        1,
        None,
    }


def test_netlink_shows_nothing_but_the_functions_own_loopback(seen: dict[str, Any]) -> None:
    assert seen["net"]["links"] == ["lo"]
    addresses = set(seen["net"]["addresses"])
    assert "127.0.0.1" in addresses
    assert all(a in ("127.0.0.1", "::1") or a.startswith("10.62.") for a in addresses)


def _guest(root: str) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            if process.name() == "wall" and process.ppid() != os.getpid():
                return process
        except psutil.Error:
            continue
    raise AssertionError("the guest is not there")


def test_its_inet_descriptors_are_af_unix_seen_from_outside(
    instance: Instance, seen: dict[str, Any]
) -> None:
    guest = _guest(str(instance.root))
    pidfd = os.pidfd_open(guest.pid)
    copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, seen["net"]["listener"], 0)
    assert copy >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=copy) as listener:
        assert listener.family == socket.AF_UNIX
    os.close(pidfd)


def test_its_files_belong_to_a_shifted_user_seen_from_outside(
    instance: Instance, seen: dict[str, Any]
) -> None:
    guest = _guest(str(instance.root))
    assert seen["net"]["uid"] < 65_536
    assert guest.uids().real >= 65_536


@pytest.mark.parametrize(
    "call",
    [
        "unshare_user", "unshare_net", "unshare_mount", "clone_newuser", "mount", "umount", "pivot_root",
        "setns", "open_tree", "move_mount", "fsopen", "ptrace_init", "sethostname", "chroot", "bpf",
        "keyctl", "userfaultfd", "perf_event_open", "process_vm_readv", "pidfd_getfd",
        "open_by_handle_at", "init_module", "kexec_load", "reboot", "raw_socket",
    ],
)  # fmt: skip
def test_calls_that_reach_out_are_refused(seen: dict[str, Any], call: str) -> None:
    assert seen["calls"][call] in {
        *REFUSED,
        errno.ENOSYS,
        errno.EAFNOSUPPORT,
        errno.EPROTONOSUPPORT,
    }


@pytest.mark.parametrize(
    "call", ["packet_socket", "vsock_socket", "alg_socket", "netlink_generic_socket"]
)
def test_other_socket_families_are_not_there(seen: dict[str, Any], call: str) -> None:
    assert seen["calls"][call] in {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, *REFUSED}


@pytest.mark.parametrize(
    "call",
    ["io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "x32_socket"],
)
def test_calls_with_a_fall_back_are_said_to_be_missing(seen: dict[str, Any], call: str) -> None:
    assert seen["calls"][call] == errno.ENOSYS


def test_the_32_bit_entry_leads_nowhere(seen: dict[str, Any]) -> None:
    assert seen["calls"]["i386_socket"] in {-1, errno.ENOSYS, errno.EPERM}


def test_the_probe_itself_can_tell_success(seen: dict[str, Any]) -> None:
    assert seen["calls"]["getpid"] == 0
