"""A function's program as its image starts it, run without any platform."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LISTEN = re.compile(r"(?m)^(\s*listen )\d+;")
"""Where an nginx configuration names its port."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to execute, and in which root.

    Attributes:
        argv: the program and its arguments; looked up on the PATH of `env` inside the root.
        root: the unpacked image; None: this machine's own.
        env: the whole environment but for PORT, which every start sets.
        configuration: a file below the root whose `listen` lines name the port; empty: PORT says it all.
    """

    argv: tuple[str, ...]
    root: Path | None = None
    env: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    configuration: str = ""

    @classmethod
    def plain(cls, path: Path) -> "Program":
        """An executable of this machine."""
        return cls((str(path),))

    def command(self) -> list[str]:
        """The command line: the very program, in its root and as its user, with no namespace of its own."""
        if self.root is None:
            return list(self.argv)
        enter = ["unshare", f"--root={self.root}", f"--wd={self.cwd}"]
        return [*enter, f"--setgid={self.gid}", f"--setuid={self.uid}", *self.argv]

    def environment(self, port: int) -> dict[str, str]:
        """The environment of a start that listens on a port."""
        return {**self.env, "PORT": str(port)}

    def prepare(self, port: int) -> None:
        """Writes the port where the program does not take it from its environment."""
        if self.configuration and self.root is not None:
            path = self.root / self.configuration
            path.write_text(listening_on(path.read_text(), port))


def listening_on(configuration: str, port: int) -> str:
    """An nginx configuration with its ports replaced."""
    return LISTEN.sub(rf"\g<1>{port};", configuration)


def behind_watchdog(argv: list[str], env: dict[str, str]) -> list[str]:
    """The function's own server where an image starts an OpenFaaS watchdog in `http` mode, else the command as it is.

    The platform runs that server directly too, so this is what bare has to be.
    """
    if argv and argv[0].endswith("watchdog") and env.get("mode") == "http":
        return shlex.split(env["fprocess"])
    return argv
