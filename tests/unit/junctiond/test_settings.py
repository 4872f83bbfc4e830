from pathlib import Path

import pytest

from junctiond.settings import SettingsError, load


def test_later_sources_win(tmp_path: Path):
    file = tmp_path / "junctiond.toml"
    file.write_text(
        'listen = "127.0.0.1:1"\nworkers = 3\nqueue_max = 5\negress_deny = ["10.0.0.0/8"]\n'
    )
    settings = load(
        file=file,
        environment={"JUNCTIOND_LISTEN": "127.0.0.1:2", "JUNCTIOND_WORKERS": "4", "HOME": "/root"},
        listen="127.0.0.1:3",
        state_dir=None,
    )
    assert (settings.listen, settings.workers, settings.queue_max) == ("127.0.0.1:3", 4, 5)
    assert settings.egress_deny == ("10.0.0.0/8",)
    assert settings.state_dir == Path("/var/lib/junctiond")
    assert "root" not in repr(settings)


def test_defaults_that_clients_rely_on():
    settings = load()
    assert settings.metrics_listen == "127.0.0.1:8082", "where OpenFaaS's Prometheus looks"
    assert settings.ready_timeout_ms <= 30_000, "faas-cli gives up after 60 s"


def test_the_file_may_be_named_by_the_environment(tmp_path: Path):
    file = tmp_path / "junctiond.toml"
    file.write_text("workers = 3\n")
    assert load(environment={"JUNCTIOND_CONFIG": str(file)}).workers == 3


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"JUNCTIOND_LISTNE": "x"}, "known are state_dir, run_dir, listen"),
        ({"JUNCTIOND_LISTEN": "8080"}, "ADDRESS:PORT"),
        ({"JUNCTIOND_LISTEN": "127.0.0.1:99999"}, "ADDRESS:PORT"),
        ({"JUNCTIOND_WORKERS": "many"}, "workers"),
        ({"JUNCTIOND_WORKERS": "-1"}, "negative"),
        ({"JUNCTIOND_EGRESS_ALLOW": "yes"}, "true or false"),
        ({"JUNCTIOND_EGRESS_DENY": "10.0.0.1/8"}, "CIDR"),
        ({"JUNCTIOND_NETWORK": "fd00::/64"}, "IPv4"),
        ({"JUNCTIOND_RUN_DIR": "/" + "x" * 120}, "too long"),
        ({"JUNCTIOND_CONFIG": "/none/there.toml"}, "cannot read"),
    ],
)
def test_what_is_wrong_is_said(environment: dict[str, str], expected: str):
    with pytest.raises(SettingsError, match=expected):
        load(environment=environment)


def test_a_bad_file_is_named(tmp_path: Path):
    file = tmp_path / "junctiond.toml"
    file.write_text("workers = \n")
    with pytest.raises(SettingsError, match="no valid TOML"):
        load(file=file)
    file.write_text("workers = true\n")
    with pytest.raises(SettingsError, match="whole number"):
        load(file=file)


def test_a_binary_is_found_or_its_places_are_named(tmp_path: Path):
    (tmp_path / "jnetd").touch()
    settings = load(bin_dir=tmp_path)
    assert settings.binary("jnetd") == tmp_path / "jnetd"
    with pytest.raises(SettingsError, match="cargo build"):
        settings.binary("nothing")
