import ipaddress
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.domain import Deployment, Namespace, Resources
from junctiond.errors import HostError, Reason
from junctiond.images.base import Image, ImageConfig
from junctiond.network.host import denied, dns_upstreams
from junctiond.network.ipam import AddressPlan, next_slot
from junctiond.secrets import SecretFiles
from junctiond.store import FunctionRow, Lease, Store, StoreError

IMAGE = Image("r", "sha256:1", (Path("/a"), Path("/b")), ImageConfig(("/x",), labels={"a": "b"}))
DEPLOYMENT = Deployment(
    "f", "r", env={"a": "b"}, secrets=("s",), limits=Resources("1Gi", "1"), document=b"\xff\x00"
)


def test_everything_survives_a_restart(tmp_path: Path):
    path = tmp_path / "state" / "junctiond.db"
    row = FunctionRow(DEPLOYMENT, 7, 2, 5, IMAGE, "of")
    lease = Lease("f.0", "openfaas-fn", "f", 7, 3, 8080, 9)
    store = Store(path)
    store.put_namespace(Namespace("dev", {"a": "b"}, {"c": "d"}))
    store.put_function(row)
    store.add_lease(lease)
    store.set_ready("f.0", 11)
    numbers = [store.next_generation(), store.next_generation()]
    store.close()
    store = Store(path)
    assert [one.name for one in store.namespaces()] == ["dev", "openfaas-fn"]
    assert store.namespace("dev") == Namespace("dev", {"a": "b"}, {"c": "d"})
    assert store.functions() == [row]
    assert store.leases()[0].ready_at_ns == 11
    assert store.next_generation() > max(numbers)
    store.set_replicas("openfaas-fn", "f", 0)
    assert store.functions()[0].replicas == 0
    store.drop_lease("f.0")
    store.delete_function("openfaas-fn", "f")
    assert (store.leases(), store.functions()) == ([], [])
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_slot_is_leased_once(tmp_path: Path):
    store = Store(tmp_path / "a.db")
    store.add_lease(Lease("a", "n", "f", 1, 3, 80, 0))
    with pytest.raises(sqlite3.IntegrityError):
        store.add_lease(Lease("b", "n", "f", 1, 3, 80, 0))
    store.close()


def test_a_foreign_or_newer_file_is_refused(tmp_path: Path):
    path = tmp_path / "a.db"
    path.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match="move it away"):
        Store(path)
    path = tmp_path / "b.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer junctiond"):
        Store(path)


def test_secrets_are_files_of_root(tmp_path: Path):
    secrets = SecretFiles(tmp_path)
    assert secrets.list("dev") == []
    assert secrets.put("dev", "key", b"one")
    assert not secrets.put("dev", "key", b"two\n")
    path = secrets.find("dev", "key")
    assert path.read_bytes() == b"two\n"
    assert path.stat().st_mode & 0o777 == 0o400
    assert secrets.list("dev") == ["key"]
    secrets.delete("dev", "key")
    with pytest.raises(HostError) as caught:
        secrets.delete("dev", "key")
    assert caught.value.reason is Reason.SECRET_UNKNOWN
    with pytest.raises(HostError, match="unable to find secret: key"):
        secrets.find("dev", "key")
    with pytest.raises(HostError, match="at most"):
        secrets.put("dev", "key", b"x" * (1024 * 1024 + 1))


@pytest.mark.parametrize(("namespace", "name"), [("dev", "../x"), ("..", "key"), ("a/b", "key")])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, namespace, name):
    secrets = SecretFiles(tmp_path / "secrets")
    for call in (secrets.delete, secrets.find, lambda space, key: secrets.put(space, key, b"")):
        with pytest.raises(HostError):
            call(namespace, name)
    assert not (tmp_path / "secrets").exists()


SMALL = AddressPlan(ipaddress.IPv4Network("10.62.0.0/28"), 1_000_000)


def test_addresses_follow_from_slots():
    assert SMALL.gateway == "10.62.0.1"
    assert [SMALL.address(0), SMALL.address(SMALL.slots - 1)] == ["10.62.0.2", "10.62.0.14"]
    assert SMALL.uid(1) - SMALL.uid(0) == 65_536
    large = AddressPlan(ipaddress.IPv4Network("10.62.0.0/8", strict=False), 1_000_000)
    assert large.uid(large.slots - 1) + 65_535 <= 2**32 - 2


@given(st.sets(st.integers(0, SMALL.slots - 1)), st.integers(-1, SMALL.slots - 1))
def test_a_slot_is_free_and_as_far_from_the_last_as_can_be(leased, last):
    if len(leased) == SMALL.slots:
        with pytest.raises(HostError, match="larger network"):
            next_slot(SMALL, leased, last)
        return
    slot = next_slot(SMALL, leased, last)
    assert slot not in leased
    skipped = range(1, (slot - last - 1) % SMALL.slots + 1)
    assert all((last + step) % SMALL.slots in leased for step in skipped)


def test_resolvers_come_from_resolv_conf(tmp_path: Path):
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver bad\nsearch a\n"
    )
    assert dns_upstreams(path) == ["192.0.2.1:53", "[fe80::1]:53"]
    assert dns_upstreams(tmp_path / "none") == ["1.1.1.1:53", "8.8.8.8:53"]


def test_the_host_itself_is_out_of_reach():
    found = denied(["192.0.2.7/32", "::1/128"], "10.62.0.0/16", ("198.51.100.0/24",))
    assert {"127.0.0.0/8", "192.0.2.7/32", "10.62.0.0/16", "198.51.100.0/24"} <= set(found)
    assert "::1/128" not in found
    clouds = ["168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.169.254"]
    for address in map(ipaddress.ip_address, clouds):
        assert any(address in ipaddress.ip_network(one) for one in found), address


def test_deferred_leases_are_seen_at_once_and_committed_together(tmp_path: Path):
    path = tmp_path / "junctiond.db"
    store, waiting = Store(path), []
    store.defer(lambda _, commit: waiting.append(commit))
    store.add_lease(Lease("f.0", "openfaas-fn", "f", 7, 3, 8080, 9))
    store.set_ready("f.0", 11)
    assert [one.ready_at_ns for one in store.leases()] == [11]
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM leases").fetchone() == (0,)
        assert len(waiting) == 1, "one commit for all"
        waiting[0]()
        assert other.execute("SELECT count(*) FROM leases").fetchone() == (1,)
    other.close()
    store.drop_lease("f.0")
    store.put_namespace(Namespace("dev"))  # what a caller is told of takes along what waits
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM leases").fetchone() == (0,)
    other.close()
    waiting[1]()
    store.close()
