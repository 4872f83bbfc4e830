"""The real faas-cli with a configuration of its own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = REPOSITORY / ".cache" / "bin" / "faas-cli"


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class FaasCli:
    """faas-cli against one gateway. It runs in an empty folder: a stack file lying around changes what it sends."""

    gateway: str
    home: Path

    def run(self, *words: str, stdin: str = "", timeout_s: float = 70) -> Outcome:
        """Runs one command; standard output and error come together, as a terminal shows them."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [str(BINARY), *words],
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", "OPENFAAS_URL": self.gateway},
            timeout=timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(errors="replace"))

    def ok(self, *words: str, stdin: str = "") -> str:
        """Runs a command that must succeed and returns what it printed."""
        outcome = self.run(*words, stdin=stdin)
        assert outcome.code == 0, f"faas-cli {' '.join(words)}: {outcome.text}"
        return outcome.text

    def login(self, password: str) -> str:
        """Logs in as admin."""
        return self.ok("login", "-u", "admin", "--password-stdin", stdin=password)
