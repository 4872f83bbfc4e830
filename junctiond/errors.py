"""The one error that leaves the daemon, and the closed list of reasons it may carry.

    HostError(reason, message, retryable)
      ├─ caller's fault     bad_name, limits_invalid, deployment_invalid, secret_invalid, …_unknown, …_exists
      ├─ image or registry  image_unknown, image_corrupt, registry_unreachable, registry_denied
      ├─ function's fault   not_ready, launch_failed
      └─ ours               internal, host_unavailable (made by the client: the daemon does not answer)

The reasons are part of the host API (docs/protocols.md, section 6).
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why an operation failed, as the trailing metadata key `junctiond-reason` spells it."""

    BAD_NAME = "bad_name"
    NAMESPACE_UNKNOWN = "namespace_unknown"
    NAMESPACE_EXISTS = "namespace_exists"
    FUNCTION_UNKNOWN = "function_unknown"
    FUNCTION_EXISTS = "function_exists"
    SECRET_UNKNOWN = "secret_unknown"
    SECRET_INVALID = "secret_invalid"
    IMAGE_UNKNOWN = "image_unknown"
    IMAGE_CORRUPT = "image_corrupt"
    REGISTRY_UNREACHABLE = "registry_unreachable"
    REGISTRY_DENIED = "registry_denied"
    LIMITS_INVALID = "limits_invalid"
    DEPLOYMENT_INVALID = "deployment_invalid"
    NOT_READY = "not_ready"
    LAUNCH_FAILED = "launch_failed"
    INTERNAL = "internal"
    HOST_UNAVAILABLE = "host_unavailable"


RETRYABLE = frozenset({Reason.REGISTRY_UNREACHABLE, Reason.NOT_READY, Reason.HOST_UNAVAILABLE})
"""Reasons that may pass by themselves: the same request can succeed later."""


class HostError(Exception):
    """An operation on this host failed.

    Attributes:
        reason: what kind of failure, for programs.
        message: what happened and how to mend it, for people; never holds a secret or an environment value.
        retryable: whether the same request may succeed later without a change by the caller.
    """

    def __init__(self, reason: Reason, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = reason in RETRYABLE if retryable is None else retryable

    def __repr__(self) -> str:
        return f"HostError({self.reason.value}: {self.message})"
