"""Goal: what is run for which image, by the watchdogs' own rules."""

from pathlib import Path

import pytest

from junctiond.cores.base import Wish
from junctiond.domain import Deployment, Resources
from junctiond.errors import HostError, Reason
from junctiond.images.base import Image, ImageConfig
from junctiond.sandbox.plan import (
    JINIT_TARGET,
    SHIM_TARGET,
    Mode,
    Watchdog,
    binds,
    make_plan,
    preloaded,
)
from junctiond.sandbox.spec import build
from junctiond.sandbox.watchdog import detect
from junctiond.settings import Settings

SETTINGS = Settings()


def image(*env: str, entrypoint: tuple[str, ...] = ("fwatchdog",), **more) -> ImageConfig:
    return ImageConfig(entrypoint=entrypoint, env=env, **more)


def deployment(**fields) -> Deployment:
    return Deployment("f", "image", **fields)


def plan(config: ImageConfig, given: Deployment | None = None, kind: Watchdog = Watchdog.OF):
    return make_plan(config, given or deployment(), SETTINGS, kind)


HTTP = ("mode=http", "fprocess=python index.py", "upstream_url=http://127.0.0.1:5000")


def test_http_mode_runs_the_fprocess_itself():
    made = plan(image(*HTTP, workdir="/home/app", user="app"))
    assert (made.mode, made.argv, made.port) == (Mode.HTTP, ("python", "index.py"), 5000)
    assert (made.cwd, made.user) == ("/home/app", "app")
    assert made.settings.watchdog
    assert made.settings.exec_timeout_ms == 30_000
    assert made.settings.queue_max == SETTINGS.queue_max


def test_an_fprocess_is_split_on_single_spaces():
    assert plan(image(*HTTP, "fprocess=a  'b c'")).argv == ("a", "", "'b", "c'")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"exec_timeout": "10"}, 10_000),
        ({"exec_timeout": "1m30s"}, 90_000),
        ({"exec_timeout": "0"}, 0),
        ({"exec_timeout": "soon"}, 30_000),
        ({"exec_timeout": "-1s"}, 30_000),
        ({"exec_timeout": ""}, 30_000),
    ],
)
def test_exec_timeout_as_the_watchdog_reads_it(env, expected):
    assert plan(image(*HTTP), deployment(env=env)).settings.exec_timeout_ms == expected


@pytest.mark.parametrize("port", ["9" * 5000, "65536", "0", "-1", "x", ""])
def test_an_impossible_port_of_a_forking_watchdog_is_the_default(port):
    made = plan(image("fprocess=cat"), deployment(env={"port": port}), Watchdog.CLASSIC)
    assert made.port == 8080


def test_max_inflight_refuses_instead_of_queueing():
    made = plan(image(*HTTP), deployment(env={"max_inflight": "3", "ready_path": "/ok"}))
    assert (made.settings.replica_inflight_max, made.settings.queue_max) == (3, 0)
    assert (made.ready_path, made.settings.ready_path) == ("/ok", "/ok")


@pytest.mark.parametrize(
    "env",
    [
        ("mode=http", "fprocess=a"),
        ("mode=http", "upstream_url=http://127.0.0.1:5000"),
        ("mode=http", "fprocess=a", "upstream_url=http://127.0.0.1:5000/base"),
        ("mode=http", "fprocess=a", "upstream_url=http://example.org:80"),
        ("mode=http", "fprocess=a", "upstream_url=http://127.0.0.1:x"),
        ("mode=static", "fprocess=a"),
        (*HTTP, "jwt_auth=true"),
    ],
)
def test_what_we_would_change_is_left_to_the_watchdog(env):
    made = plan(image(*env))
    assert (made.mode, made.argv, made.port) == (Mode.AS_IT_IS, ("fwatchdog",), 8080)
    assert not made.settings.watchdog


def test_later_variables_win():
    made = plan(image(*HTTP), deployment(env={"http_upstream_url": "http://localhost:7000"}))
    assert made.port == 7000
    made = plan(image(*HTTP), deployment(env={"function_process": "other"}))
    assert made.argv == ("other",)


@pytest.mark.parametrize("mode", ["streaming", "serializing"])
def test_forking_modes_get_our_init(mode):
    made = plan(image(f"mode={mode}", "fprocess=cat"))
    assert made.argv == (JINIT_TARGET, "--mode", mode, "--port", "8080")
    assert made.settings.exec_timeout_ms == 0
    assert binds(made, Path("/lib/jinit")) == (("/lib/jinit", JINIT_TARGET),)


def test_an_of_watchdog_without_mode_streams_and_a_classic_one_is_classic():
    assert plan(image("fprocess=cat")).mode is Mode.STREAMING
    made = plan(image("fprocess=cat", "mode=http"), kind=Watchdog.CLASSIC)
    assert made.argv[1:3] == ("--mode", "classic")


@pytest.mark.parametrize(
    ("ports", "annotations", "expected"),
    [
        ((), {}, 8080),
        ((3000,), {}, 3000),
        ((80, 443), {}, 8080),
        ((3000,), {"com.junctiond.port": "9000"}, 9000),
    ],
)
def test_the_port_of_any_other_image(ports, annotations, expected):
    config = image(entrypoint=("/serve",), exposed_ports=ports, cmd=("-v",))
    made = plan(config, deployment(annotations=annotations), Watchdog.NONE)
    assert (made.mode, made.argv, made.port) == (Mode.AS_IT_IS, ("/serve", "-v"), expected)


def test_the_order_of_the_environment():
    config = image("PATH=/bin", "A=image", "fprocess=image", entrypoint=("/x",))
    given = deployment(env={"A": "b=c", "OPENFAAS_NAME": "forged"}, env_process="mine")
    env = plan(config, given, Watchdog.NONE).env
    assert env == (
        "PATH=/bin",
        "A=b=c",
        "fprocess=mine",
        "OPENFAAS_NAME=f",
        "OPENFAAS_NAMESPACE=openfaas-fn",
    )


@pytest.mark.parametrize(
    "given",
    [
        deployment(env={"": "x"}),
        deployment(env={"a\0": "x"}),
        deployment(env={"a": "x" * 2_000_000}),
        deployment(env_process="a\0b"),
        deployment(annotations={"com.junctiond.port": "0"}),
        deployment(annotations={"com.junctiond.cores": "2"}),
        deployment(annotations={"com.junctiond.port": "http"}),
        deployment(annotations={"com.openfaas.ready.http.path": "ready"}),
        deployment(annotations={"com.openfaas.ready.http.path": "/a b"}),
    ],
)
def test_what_no_process_can_have_is_refused(given):
    with pytest.raises(HostError) as caught:
        plan(image(*HTTP), given)
    assert caught.value.reason is Reason.DEPLOYMENT_INVALID
    assert "xxx" not in caught.value.message


@pytest.mark.parametrize(
    ("cpu", "annotations", "expected"),
    [
        ("", {}, Wish.HOST),
        ("1", {}, Wish.ONE),
        ("250m", {}, Wish.ONE),
        ("1500m", {}, Wish.MANY),
        ("250m", {"com.junctiond.cores": "many"}, Wish.MANY),
        ("4", {"com.junctiond.cores": "one"}, Wish.ONE),
    ],
)
def test_what_a_deployment_says_of_cores(cpu, annotations, expected):
    given = deployment(limits=Resources("", cpu), annotations=annotations)
    assert plan(image(*HTTP), given).wish is expected


def test_limits_and_grace():
    given = deployment(limits=Resources("64Mi", "250m"), env={"grace_period": "5s"})
    made = plan(image(*HTTP), given)
    assert (made.memory_bytes, made.cpu_millicores, made.grace_ms) == (64 << 20, 250, 5000)


@pytest.mark.parametrize(
    ("content", "env", "expected"),
    [
        (b"...upstream_url...", (), Watchdog.OF),
        (b"...combine_output...", ("mode=http",), Watchdog.CLASSIC),
        (None, ("mode=http",), Watchdog.OF),
        (None, (), Watchdog.CLASSIC),
    ],
)
def test_the_kind_of_watchdog(tmp_path: Path, content, env, expected):
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    (top / "etc").mkdir(parents=True)
    (bottom / "usr/bin").mkdir(parents=True)
    if content is not None:
        (bottom / "usr/bin/fwatchdog").write_bytes(content)
    found = detect(Image("i", "sha256:0", (top, bottom), image(*env)))
    assert found is expected


def test_a_link_in_an_image_does_not_lead_out_of_it(tmp_path: Path):
    layer, outside = tmp_path / "layer", tmp_path / "secret"
    outside.write_bytes(b"upstream_url")
    (layer / "usr/bin").mkdir(parents=True)
    (layer / "usr/bin/fwatchdog").symlink_to(outside)
    assert detect(Image("i", "sha256:0", (layer,), image())) is Watchdog.CLASSIC
    (layer / "usr/bin/real").write_bytes(b"upstream_url")
    (layer / "usr/bin/fwatchdog").unlink()
    (layer / "usr/bin/fwatchdog").symlink_to("real")
    assert detect(Image("i", "sha256:0", (layer,), image())) is Watchdog.OF
    (layer / "usr/bin/fwatchdog").unlink()
    (layer / "usr/bin/fwatchdog").symlink_to("fwatchdog")
    assert detect(Image("i", "sha256:0", (layer,), image())) is Watchdog.CLASSIC


def test_a_specification_holds_what_the_keeper_reads():
    made = plan(image("fprocess=cat"))
    spec = build(
        SETTINGS,
        "f.openfaas-fn.0a",
        deployment(),
        Image("i", "sha256:0", (Path("/l2"), Path("/l1")), image()),
        made,
        address="10.62.0.2",
        gateway="10.62.0.1",
        uid_base=1_000_000,
        secrets=(("key", Path("/s/key")),),
        jinit=Path("/lib/jinit"),
    )
    assert spec.rootfs.layers == ("/l2", "/l1")
    assert spec.run_dir == "/run/junctiond/sandboxes/f.openfaas-fn.0a"
    assert spec.log.path == "/var/lib/junctiond/logs/openfaas-fn/f/f.openfaas-fn.0a.log"
    assert ("10.62.0.1", "gateway") in spec.network.hosts


SHIM = Path("/lib/libjshim.so")


def test_the_shim_is_preloaded_after_what_the_image_preloads():
    made = plan(image(*HTTP, "LD_PRELOAD=/opt/jemalloc.so"))
    assert binds(made, None, SHIM) == ((str(SHIM), SHIM_TARGET),)
    assert f"LD_PRELOAD=/opt/jemalloc.so:{SHIM_TARGET}" in preloaded(made, SHIM)
    assert f"LD_PRELOAD={SHIM_TARGET}" in preloaded(plan(image(*HTTP)), SHIM)


def test_without_shim_or_rings_the_environment_is_the_image_s():
    made = plan(image(*HTTP))
    assert (binds(made, None, None), preloaded(made, None)) == ((), made.env)
    for without in (
        plan(image(*HTTP), deployment(annotations={"com.junctiond.rings": "false"})),
        plan(image("fprocess=cat")),
    ):
        assert not without.rings
        assert (binds(without, None, SHIM), preloaded(without, SHIM)) == ((), without.env)


def test_an_annotation_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(HostError, match=r"com\.junctiond\.rings"):
        plan(image(*HTTP), deployment(annotations={"com.junctiond.rings": "no"}))
