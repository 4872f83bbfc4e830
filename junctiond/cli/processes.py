"""`junctiond ps`: every function, and every sandbox of it."""

import msgspec
from rich.table import Table
from rich.text import Text

from junctiond.api.client import HostClient
from junctiond.cli import shown
from junctiond.domain import Function, Sandbox, SandboxState

STATE_STYLES = {
    SandboxState.READY: "green",
    SandboxState.LAUNCHING: "yellow",
    SandboxState.DRAINING: "yellow",
    SandboxState.STOPPING: "yellow",
    SandboxState.FAILED: "red",
    SandboxState.EXITED: "red",
}
Key = tuple[str, str]


async def read(host: HostClient) -> tuple[list[Function], list[Sandbox]]:
    """All functions and all sandboxes of a host."""
    return await host.list_functions(all_namespaces=True), await host.list_sandboxes()


def encode(functions: list[Function], sandboxes: list[Sandbox]) -> bytes:
    """The same as JSON. Environment and document of a deployment stay out: they may hold what is not for a terminal."""
    rows = [
        {
            "name": one.deployment.name,
            "namespace": one.deployment.namespace,
            "image": one.deployment.image,
            "replicas": one.replicas,
            "replicas_available": one.replicas_available,
            "created_at_ns": one.created_at_ns,
            "generation": one.generation,
            "invocations": one.invocations,
            "last_error": one.last_error,
        }
        for one in functions
    ]
    return msgspec.json.encode({"functions": rows, "sandboxes": sandboxes})


def table(functions: list[Function], sandboxes: list[Sandbox], now_ns: int) -> Table:
    """A row per sandbox; a function without one has a row of its own that says why."""
    shown_table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (
        "FUNCTION",
        "SANDBOX",
        "STATE",
        "ADDRESS",
        "PID",
        "AGE",
        "RESTARTS",
        "CPU",
        "MEMORY",
    ):
        right = column in ("PID", "AGE", "RESTARTS", "CPU", "MEMORY")
        shown_table.add_column(column, justify="right" if right else "left", no_wrap=True)
    shown_table.add_column("IMAGE / ERROR", overflow="fold")
    by_function: dict[Key, list[Sandbox]] = {}
    for sandbox in sandboxes:
        by_function.setdefault((sandbox.namespace, sandbox.name), []).append(sandbox)
    for function in functions:
        key = (function.deployment.namespace, function.deployment.name)
        replicas = by_function.pop(key, [])
        if not replicas:
            _add_idle(shown_table, function)
        for replica in sorted(replicas, key=lambda one: one.started_at_ns):
            _add(shown_table, replica, function.deployment.image, now_ns)
    for orphans in by_function.values():
        for orphan in orphans:
            _add(shown_table, orphan, "deleted", now_ns)
    return shown_table


def _add(shown_table: Table, sandbox: Sandbox, note: str, now_ns: int) -> None:
    style = STATE_STYLES[sandbox.state]
    usage = sandbox.usage
    shown_table.add_row(
        f"{sandbox.name}.{sandbox.namespace}",
        sandbox.id,
        Text(sandbox.state.value, style),
        sandbox.address,
        str(sandbox.init_pid or "-"),
        shown.age(sandbox.started_at_ns, now_ns),
        str(sandbox.restarts),
        f"{usage.cpu_millicores:.0f}m" if usage else "-",
        shown.size(usage.memory_bytes) if usage else "-",
        _note(sandbox.error, note),
    )


def _add_idle(shown_table: Table, function: Function) -> None:
    state = Text("scaled to 0", "dim") if function.replicas == 0 else Text("no replica", "yellow")
    note = _note(function.last_error, function.deployment.image)
    name = f"{function.deployment.name}.{function.deployment.namespace}"
    shown_table.add_row(name, "-", state, "-", "-", "-", "-", "-", "-", note)


def _note(error: str, otherwise: str) -> Text:
    """An error in red where there is one. Errors quote guests: no markup, no control characters."""
    return Text(shown.printable(error), "red") if error else Text(otherwise)
