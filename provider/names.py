"""Names of functions, namespaces and secrets, and how a namespace travels with a name."""

from typing import NamedTuple

from junctiond.domain import DEFAULT_NAMESPACE
from junctiond.names import SUBDOMAIN_CHARS_MAX, is_label
from provider.reply import Refusal


class FunctionRef(NamedTuple):
    """A function's name and namespace, the namespace never empty."""

    name: str
    namespace: str


def is_subdomain(text: str) -> bool:
    """Whether `text` is one or more DNS labels joined by dots, 253 characters at most."""
    return len(text) <= SUBDOMAIN_CHARS_MAX and all(is_label(part) for part in text.split("."))


def resolve(name: str, *, body: str = "", query: str = "") -> FunctionRef:
    """Find the namespace of `name`: the body's, else the query's, else the part after the last dot.

    OpenFaaS looks in one of these places per route; honouring all three in this order serves
    every client (contract section 9.2). `fn.ns` with an explicit `ns` means the same function.
    """
    explicit = body or query
    head, dot, tail = name.rpartition(".")
    if not explicit:
        return FunctionRef(head, tail) if dot and tail else FunctionRef(name, DEFAULT_NAMESPACE)
    return FunctionRef(head if dot and tail == explicit else name, explicit)


def known(ref: FunctionRef) -> FunctionRef:
    """Return `ref`, where a function can have that name at all.

    Raises:
        Refusal: 404 for what is no DNS label, since nothing of that name can be deployed.
    """
    if not is_label(ref.name):
        raise Refusal(404, unknown_service(ref.name), "function_unknown")
    return ref


def unknown_service(name: str) -> str:
    """The text of update, delete and scale where there is no such function."""
    return f"service {shown(name)} not found"


def checked_namespace(namespace: str) -> str:
    """Return `namespace`, or the default one where empty.

    Raises:
        Refusal: 400 `namespace not valid` where it cannot be a namespace's name at all.
    """
    if not namespace:
        return DEFAULT_NAMESPACE
    if not is_label(namespace):
        raise Refusal(400, "namespace not valid", "namespace_unknown")
    return namespace


def checked_service(name: str) -> str:
    """Return the name of a function to deploy.

    Raises:
        Refusal: 400 unless it is a DNS label; the text is that of faas-netes.
    """
    if not is_label(name):
        raise Refusal(
            400,
            f"validation failed: service: ({shown(name)}) is invalid, must be a valid DNS entry",
            "bad_name",
        )
    return name


def checked_secret(name: str) -> str:
    """Return the name of a secret.

    Raises:
        Refusal: 400 where it is empty, climbs directories or is not a DNS subdomain.
    """
    if not name:
        raise Refusal(400, "non-empty name is required", "bad_name")
    if "/" in name or ".." in name:
        raise Refusal(400, "directory traversal found in name", "bad_name")
    if not is_subdomain(name):
        raise Refusal(
            400,
            f"secret name ({shown(name)}) is invalid, must be a valid DNS subdomain",
            "bad_name",
        )
    return name


def shown(name: str) -> str:
    """`name` cut and stripped of control characters, fit for an error text."""
    cut = name if len(name) <= SUBDOMAIN_CHARS_MAX else name[:SUBDOMAIN_CHARS_MAX] + "…"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)
