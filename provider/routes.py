"""The table of everything the provider serves; docs/contract.md describes each line."""

from typing import Final, NamedTuple

from provider import alert, functions, info, logs, namespaces, page, secrets
from provider.call import Handler


class Entry(NamedTuple):
    """One method of one path; a segment takes letters, digits, `-`, `_` and `.`."""

    method: str
    path: str
    handler: Handler

    @property
    def takes_body(self) -> bool:
        """Whether the body is read before the handler runs.

        What needs no account is answered at once: whoever sends a body slowly would keep the connection.
        """
        return self.method not in ("GET", "HEAD")


# `/async-function` is not among them: without a queue OpenFaaS does not register it either, so it is a 404.
TABLE: Final = (
    Entry("GET", "/system/functions", functions.list_functions),
    Entry("POST", "/system/functions", functions.deploy),
    Entry("PUT", "/system/functions", functions.update),
    Entry("DELETE", "/system/functions", functions.delete),
    Entry("GET", "/system/function/{name:segment}", functions.get_function),
    Entry("POST", "/system/scale-function/{name:segment}", functions.scale),
    Entry("GET", "/system/secrets", secrets.list_secrets),
    Entry("POST", "/system/secrets", secrets.put_secret),
    Entry("PUT", "/system/secrets", secrets.put_secret),
    Entry("DELETE", "/system/secrets", secrets.delete_secret),
    Entry("GET", "/system/namespaces", namespaces.list_namespaces),
    Entry("GET", "/system/namespace/{name:segment_or_empty}", namespaces.get_namespace),
    Entry("POST", "/system/namespace/{name:segment_or_empty}", namespaces.create_namespace),
    Entry("PUT", "/system/namespace/{name:segment_or_empty}", namespaces.update_namespace),
    Entry("DELETE", "/system/namespace/{name:segment_or_empty}", namespaces.delete_namespace),
    Entry("GET", "/system/logs", logs.get_logs),
    Entry("GET", "/system/info", info.get_info),
    Entry("POST", "/system/alert", alert.post_alert),
    Entry("GET", "/healthz", info.get_health),
    Entry("HEAD", "/healthz", info.get_health),
    Entry("GET", "/", page.get_root),
    Entry("GET", "/ui/", page.get_index),
    Entry("GET", "/ui/page.js", page.get_script),
    Entry("GET", "/ui/page.css", page.get_style),
)
