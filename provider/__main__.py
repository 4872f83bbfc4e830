"""`python -m provider`: start the provider of one host."""

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop
from prometheus_client import disable_created_metrics

from junctiond import eventlog
from provider.credentials import CredentialsError
from provider.listener import ListenError
from provider.serve import Settings, serve


def main(arguments: list[str]) -> int:
    """Run until a signal; returns the exit status."""
    eventlog.configure()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    settings = _settings(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except (ListenError, CredentialsError) as fault:
        sys.stderr.write(f"provider: {fault}\n")
        return 1
    return 0


def _settings(arguments: list[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="provider", description=__doc__)
    parser.add_argument("--host-socket", type=Path, required=True, help="the host API's socket")
    parser.add_argument("--listen", required=True, help="unix:PATH or tcp:HOST:PORT")
    parser.add_argument("--secrets-dir", type=Path, required=True, help="folder of the account")
    parser.add_argument("--metrics", help="HOST:PORT of /metrics; off where absent")
    given = parser.parse_args(arguments)
    return Settings(given.host_socket, given.listen, given.secrets_dir, given.metrics)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
