"""`python -m loadtests NAME [options]`: bench, incumbent, report or demo."""

import runpy
import sys

COMMANDS = ("bench", "incumbent", "report", "demo")


def main() -> None:
    """Hands over to `loadtests.NAME` as if it had been run itself."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python -m loadtests {{{','.join(COMMANDS)}}} [options]")
    name = sys.argv.pop(1)
    runpy.run_module(f"loadtests.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
