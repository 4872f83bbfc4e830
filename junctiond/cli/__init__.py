"""The `junctiond` command: runs a host, and shows what it does.

`app` is the table of commands; each command has a module that asks the host API or the machine, and a pure part that
decides what to show. Read commands take `--json`.
"""
