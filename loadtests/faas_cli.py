"""The real faas-cli, driven as a user would, with a home of its own."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.gateway import Gateway, GatewayRefused
from loadtests.machine import REPOSITORY

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class FaasCli:
    """faas-cli against one gateway; what it writes to its configuration goes to `home`."""

    program: str
    gateway: Gateway
    home: Path

    @classmethod
    def find(cls, gateway: Gateway, home: Path) -> "FaasCli | None":
        """The one that `make setup` built, else the one on PATH, else None."""
        built = REPOSITORY / ".cache" / "bin" / "faas-cli"
        program = str(built) if built.exists() else shutil.which("faas-cli")
        return cls(program, gateway, home) if program else None

    def login(self) -> None:
        """Logs in; the password goes through standard input, not through the process list."""
        self.run(
            "login",
            "--username",
            self.gateway.user,
            "--password-stdin",
            stdin=self.gateway.password,
        )

    def deploy(self, function: str, image: str, *arguments: str) -> str:
        """Deploys a function; returns what faas-cli said."""
        return self.run("deploy", "--name", function, "--image", image, *arguments)

    def run(self, verb: str, *arguments: str, stdin: str = "") -> str:
        """One command.

        Raises:
            GatewayRefused: it exits with an error; the message holds what it said.
        """
        done = subprocess.run(
            [self.program, verb, "--gateway", f"http://{self.gateway.address}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=self.home,  # a stack.yaml in the working directory would change what is sent
            env={**os.environ, "HOME": str(self.home), "OPENFAAS_CONFIG": str(self.home)},
            check=False,
        )
        if done.returncode != 0:
            raise GatewayRefused(f"faas-cli {verb}: {done.stdout.strip()} {done.stderr.strip()}")
        return done.stdout.strip()
