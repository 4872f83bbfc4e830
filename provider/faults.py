"""From the host's reasons to the statuses and texts that OpenFaaS clients know (contract section 1.5).

Texts name the function, image or secret that the caller named; the host's own message follows where it
tells more, such as the last log lines of a function that never listened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from junctiond.errors import HostError, Reason
from provider import names
from provider.reply import Refusal

_STATUS: Final = {
    Reason.BAD_NAME: 400,
    Reason.NAMESPACE_UNKNOWN: 400,
    Reason.NAMESPACE_EXISTS: 409,
    Reason.FUNCTION_UNKNOWN: 404,
    Reason.FUNCTION_EXISTS: 400,
    Reason.SECRET_UNKNOWN: 400,
    Reason.SECRET_INVALID: 400,
    Reason.IMAGE_UNKNOWN: 400,
    Reason.IMAGE_CORRUPT: 400,
    Reason.REGISTRY_UNREACHABLE: 400,
    Reason.REGISTRY_DENIED: 400,
    Reason.LIMITS_INVALID: 400,
    Reason.DEPLOYMENT_INVALID: 400,
    # The caller's program ended or never listened; faasd answers 400 for what fails after the pull, and a
    # client that retries blindly on 5xx would only start it again.
    Reason.NOT_READY: 400,
    Reason.LAUNCH_FAILED: 400,
    Reason.INTERNAL: 500,
    # What the OpenFaaS gateway answers when its provider is down.
    Reason.HOST_UNAVAILABLE: 502,
}

_PULL: Final = frozenset(
    {
        Reason.IMAGE_UNKNOWN,
        Reason.IMAGE_CORRUPT,
        Reason.REGISTRY_UNREACHABLE,
        Reason.REGISTRY_DENIED,
    }
)


class Subject(NamedTuple):
    """What a request was about, for its error text."""

    name: str = ""
    namespace: str = ""
    image: str = ""


@contextmanager
def about(name: str = "", namespace: str = "", image: str = "") -> Iterator[None]:
    """Turn a `HostError` of the enclosed host call into the `Refusal` a client understands."""
    try:
        yield
    except HostError as error:
        raise refusal(error, Subject(name, namespace, image)) from error


def refusal(error: HostError, subject: Subject) -> Refusal:
    """The answer to a failed host call."""
    return Refusal(_STATUS[error.reason], _text(error, subject), error.reason.value)


def _text(error: HostError, subject: Subject) -> str:
    message = error.message.strip()
    match error.reason:
        case Reason.FUNCTION_UNKNOWN:
            return names.unknown_service(subject.name)
        case Reason.NAMESPACE_UNKNOWN:
            return "namespace not valid"
        case Reason.NAMESPACE_EXISTS:
            return f"namespace {subject.name} already exists"
        case Reason.FUNCTION_EXISTS:
            service = f"{subject.name}.{subject.namespace}"
            return f'unable to create function: {subject.name}, error: "{service}": already exists'
        case Reason.SECRET_UNKNOWN:
            return _led("unable to find secret", message, "")
        case reason if reason in _PULL:
            return _led("unable to pull image", message, names.shown(subject.image))
        case _:
            return message


def _led(start: str, message: str, subject: str) -> str:
    """`message` led by the words that scripts look for, unless it begins with them itself."""
    if message.lower().startswith(start):
        return message
    return f"{start} {subject}: {message}" if subject else f"{start}: {message}"
