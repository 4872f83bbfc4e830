"""Names that become path components, host names and URL segments: DNS labels and subdomains (RFC 1123).

Every name from outside passes here once, at the border, so that no inner part has to think about `..` or `/`.
"""

import re

from junctiond.errors import HostError, Reason

LABEL_CHARS_MAX = 63
SUBDOMAIN_CHARS_MAX = 253
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LABEL_RULE = "lower-case letters, digits and '-', beginning and ending with a letter or digit"


def check_function(name: str) -> str:
    """Returns `name`; raises HostError(bad_name) where it is no DNS label."""
    return _label(name, "function name")


def check_namespace(name: str) -> str:
    """Returns `name`; raises HostError(bad_name) where it is no DNS label."""
    return _label(name, "namespace")


def check_secret(name: str) -> str:
    """Returns `name`; raises HostError(secret_invalid) where it is no DNS subdomain (labels joined by dots)."""
    if not name:
        raise HostError(Reason.SECRET_INVALID, "non-empty name is required")
    labels = name.split(".")
    if len(name) > SUBDOMAIN_CHARS_MAX or not all(map(is_label, labels)):
        raise HostError(
            Reason.SECRET_INVALID,
            f"secret name {_shown(name)} is invalid: use labels of {_LABEL_RULE}, joined by '.', "
            f"{SUBDOMAIN_CHARS_MAX} characters at most",
        )
    return name


def is_label(name: str) -> bool:
    """Whether `name` is a DNS label."""
    return len(name) <= LABEL_CHARS_MAX and _LABEL.fullmatch(name) is not None


def _label(name: str, what: str) -> str:
    if not is_label(name):
        raise HostError(
            Reason.BAD_NAME,
            f"{what} {_shown(name)} is invalid: it must be a DNS label of at most {LABEL_CHARS_MAX} "
            f"characters ({_LABEL_RULE})",
        )
    return name


def _shown(name: str) -> str:
    """The name as an error may show it: quoted, and cut, for it may be anything of any length."""
    return repr(name if len(name) <= 80 else name[:80] + "…")
