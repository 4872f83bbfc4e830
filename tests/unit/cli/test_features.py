import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from junctiond.cli import check, machine
from junctiond.cli.features import Facts, Feature, judge, sufficient
from junctiond.settings import Settings

GOOD = Facts(
    euid=0,
    kernel="6.1.0-18-amd64",
    cgroup_version=2,
    cgroup_controllers=frozenset({"memory", "cpu", "pids", "io"}),
    user_namespaces_max=1000,
    seccomp_actions=frozenset({"user_notif"}),
    filesystems=frozenset({"overlay"}),
    hugepages_total=0,
    hugepage_kib=2048,
    tun=True,
    dpdk_library="",
    binaries={"jnetd": "/x/jnetd", "jsandbox": "/x/jsandbox", "jinit": "/x/jinit"},
    skopeo="/usr/bin/skopeo",
    listen="127.0.0.1:8080",
    listen_state="free",
)


def test_a_good_machine_suffices_though_unused_features_are_off() -> None:
    features = judge(GOOD)
    assert sufficient(features)
    assert {one.name for one in features if not one.on} == {"hugepages", "DPDK"}
    assert all("not used yet" in one.why for one in features if one.name in ("hugepages", "DPDK"))


@pytest.mark.parametrize(
    ("change", "name", "mend"),
    [
        ({"euid": 1000}, "root", "sudo"),
        ({"kernel": "5.4.0"}, "kernel", "5.11"),
        ({"kernel": "weird"}, "kernel", "5.11"),
        ({"user_namespaces_max": 0}, "user namespaces", "sysctl"),
        ({"seccomp_actions": frozenset()}, "seccomp notify", "CONFIG_SECCOMP_FILTER"),
        ({"filesystems": frozenset()}, "overlay mounts", "modprobe"),
        ({"cgroup_version": 0}, "cgroups", "mount"),
        ({"cgroup_controllers": frozenset({"cpu", "pids"})}, "cgroups", "memory"),
        ({"binaries": {"jnetd": ""}}, "jnetd", "make build"),
        ({"skopeo": ""}, "skopeo", "apt-get"),
        ({"listen_state": "address already in use"}, "address 127.0.0.1:8080", "--listen"),
    ],
)
def test_what_is_missing_is_named_with_its_mend(
    change: dict[str, object], name: str, mend: str
) -> None:
    features = judge(replace(GOOD, **change))  # type: ignore[arg-type]
    off = {one.name: one for one in features if one.required and not one.on}
    assert list(off) == [name]
    assert mend in off[name].mend
    assert not sufficient(features)


def test_findings_of_the_launcher_are_added() -> None:
    found = Feature("idmapped mounts", False, True, "refused: EINVAL", "boot a newer kernel")
    features = judge(replace(GOOD, sandbox_checks=(found,)))
    assert features[-1] == found
    assert not sufficient(features)


def test_json() -> None:
    document = json.loads(check.encode(judge(GOOD)))
    assert document["sufficient"] is True
    assert document["features"][0] == {
        "name": "root",
        "on": True,
        "required": True,
        "why": "runs as root",
        "mend": "run junctiond as root (sudo junctiond up)",
    }


def test_facts_of_this_machine() -> None:
    facts = machine.read(Settings(listen="127.0.0.1:1"))
    assert facts.euid == os.geteuid()
    assert facts.cgroup_version in (0, 1, 2)
    assert set(facts.binaries) == {"jnetd", "jsandbox", "jinit", "libjshim.so"}


def test_cgroup_versions(tmp_path: Path) -> None:
    assert machine.cgroup(tmp_path / "none") == (0, frozenset())
    assert machine.cgroup(tmp_path) == (0, frozenset())
    (tmp_path / "cpu,cpuacct").mkdir()
    (tmp_path / "memory").mkdir()
    assert machine.cgroup(tmp_path) == (1, frozenset({"cpu", "cpuacct", "memory"}))
    (tmp_path / "cgroup.controllers").write_text("cpu io memory pids\n")
    assert machine.cgroup(tmp_path) == (2, frozenset({"cpu", "io", "memory", "pids"}))


def test_who_holds_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = Settings(listen=f"127.0.0.1:{server.getsockname()[1]}", run_dir=tmp_path)
        assert "in use" in machine.listen_state(settings)
        settings.host_socket.touch()
        assert machine.listen_state(settings) == "junctiond"
    assert machine.listen_state(settings) == "free"


def launcher(folder: Path, script: str) -> str:
    path = folder / "jsandbox"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_launcher_is_asked(tmp_path: Path) -> None:
    said = '[{"name": "user_ns", "on": false, "why": "EPERM", "mend": "sysctl", "required": true}]'
    checks = machine.sandbox_checks(launcher(tmp_path, f"echo '{said}'; exit 1"))
    assert checks == (Feature("user ns", False, True, "EPERM", "sysctl"),)
    assert machine.sandbox_checks("") == ()


def test_broken_launcher_is_a_failed_feature(tmp_path: Path) -> None:
    (found,) = machine.sandbox_checks(launcher(tmp_path, "echo nonsense"))
    assert (found.on, found.required) == (False, True)
