"""Who answers: provider information and health."""

import platform
from typing import Final

from starlette.responses import Response

from junctiond.errors import HostError
from provider import faults, reply
from provider.call import Call
from provider.reply import Refusal

# `faasd` is what OpenFaaS's own certifier knows: under this name it accepts a deployment read back exactly
# as it was sent. `orchestration` says what really runs (docs/decisions, provider name).
PROVIDER_NAME: Final = "faasd"
ORCHESTRATION: Final = "junctiond"
_UNKNOWN: Final = "unknown"


async def get_info(call: Call) -> Response:
    """GET /system/info: no string is ever empty, for faas-cli and the certifier rely on that."""
    with faults.about():
        host = await call.host.info()
    sha, release = host.commit or _UNKNOWN, host.version or _UNKNOWN
    return reply.document(
        {
            "provider": {
                "provider": PROVIDER_NAME,
                "version": {"sha": sha, "release": release},
                "orchestration": ORCHESTRATION,
            },
            "version": {
                "commit_message": f"junctiond, data plane {host.dataplane_version or _UNKNOWN}",
                "sha": sha,
                "release": release,
            },
            "arch": platform.machine() or _UNKNOWN,
        }
    )


async def get_health(call: Call) -> Response:
    """GET /healthz: 200 while the host daemon answers, otherwise 502; open to all, so it tells no more."""
    try:
        await call.host.info()
    except HostError as error:
        raise Refusal(502, "", error.reason) from error
    return reply.empty()
