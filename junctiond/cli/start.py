"""`junctiond up`: runs the daemon here or detached, and says how to reach it once it serves."""

import http.client
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from rich.console import Console

from junctiond.cli.session import CommandError, err, out
from junctiond.cli.stop import listener_pid
from junctiond.settings import Settings, split_address

READY_WAIT_S = 60.0
POLL_S = 0.02
PROBE_TIMEOUT_S = 2.0
LOG_TAIL_LINES = 15


def foreground(settings: Settings) -> int:
    """Runs the daemon in this process until it is told to stop; returns its exit status.

    Raises:
        CommandError: this user cannot run it, or it runs already.
    """
    check_startable(settings)
    # A thread, because the daemon owns the event loop; it ends with the process.
    threading.Thread(target=_announce, args=(settings, out), daemon=True).start()
    from junctiond import daemon

    return daemon.main(settings)


def detached(settings: Settings, arguments: list[str]) -> None:
    """Runs the daemon in a session of its own and returns when it serves.

    Raises:
        CommandError: it did not come up; the last lines of its log are in the message.
    """
    check_startable(settings)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    log = settings.logs_dir / "daemon.log"
    command = [sys.executable, "-m", "junctiond.cli.app", "up", "--foreground", *arguments]
    with log.open("ab") as sink:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while not healthy(settings):
        status = child.poll()
        if status is not None:
            raise CommandError(f"the daemon ended with status {status}\n{_tail(log)}", f"see {log}")
        if time.monotonic_ns() > deadline_ns:
            raise CommandError(
                f"the daemon does not serve after {READY_WAIT_S:.0f} s", f"see {log}"
            )
        time.sleep(POLL_S)
    banner(settings, out)
    out.print(f"log       {log}\nstop      junctiond down{_run_dir_option(settings)}")


def check_startable(settings: Settings) -> None:
    """Raises CommandError where `up` cannot work: not root, or this run directory is in use."""
    if os.geteuid() != 0:
        raise CommandError("sandboxes, mounts and cgroups need root", "sudo junctiond up")
    pid = listener_pid(settings.host_socket)
    if pid is not None:
        raise CommandError(
            f"junctiond runs already (pid {pid}) in {settings.run_dir}",
            f"junctiond down{_run_dir_option(settings)}, or choose another --run-dir, --state-dir and --listen",
        )


def healthy(settings: Settings) -> bool:
    """Whether the front door answers and the provider behind it too."""
    host, port = split_address(settings.listen, "listen")
    connection = http.client.HTTPConnection(reachable(host), port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable(host: str) -> str:
    """An address to connect to for one to listen on: the wildcards are no destinations."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def gateway_url(settings: Settings) -> str:
    """The URL that clients on this machine use."""
    host, port = split_address(settings.listen, "listen")
    host = reachable(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def banner(settings: Settings, console: Console) -> None:
    """Prints where the gateway is and how to log in; the password itself is never printed."""
    url = gateway_url(settings)
    password = settings.secrets_dir / "basic-auth-password"
    console.print(f"[bold green]junctiond serves[/] {url}")
    console.print(f"password  {password}")
    console.print(
        f"log in    faas-cli login --gateway {url} --username admin --password-stdin < {password}"
    )


def _announce(settings: Settings, console: Console) -> None:
    deadline_ns = time.monotonic_ns() + int(READY_WAIT_S * 1e9)
    while time.monotonic_ns() < deadline_ns:
        if healthy(settings):
            banner(settings, console)
            return
        time.sleep(POLL_S)
    err.print(
        f"[yellow]the gateway does not answer after {READY_WAIT_S:.0f} s; see the log above[/]"
    )


def _run_dir_option(settings: Settings) -> str:
    default = Settings().run_dir
    return "" if settings.run_dir == default else f" --run-dir {settings.run_dir}"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
