"""What a snapshot is good for: the same program in the same surroundings. Pure but for looking at files."""

import hashlib
import os
from pathlib import Path

import msgspec

from junctiond.sandbox.spec import SandboxSpec


def key_of(spec: SandboxSpec, restorer: Path) -> str:
    """A digest that differs where a start might go differently.

    Of the specification it covers what replicas of one generation share: image, program, environment, user, limits, and the
    very files of its secrets and binds. Address, ids, log and cores differ between replicas and are left out.
    """
    surroundings = (
        spec.rootfs,
        spec.process.argv,
        spec.process.env,
        spec.process.cwd,
        spec.process.user,
        spec.hostname,
        spec.limits,
        (spec.network.gateway, spec.network.nameserver, spec.network.hosts),
        [(one.source, one.target, _identity(one.source)) for one in spec.binds],
        [(one.name, _identity(one.source)) for one in spec.secrets],
        _identity(str(restorer)),
    )
    return hashlib.sha256(msgspec.json.encode(surroundings)).hexdigest()[:32]


def _identity(path: str) -> tuple[int, ...]:
    """What tells one version of a file from the next; files that change are replaced by rename."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - several for each launch
    except OSError:
        return ()
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
