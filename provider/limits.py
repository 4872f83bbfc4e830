"""Every bound of the provider in one place.

Nothing that a client sends may make the provider hold more than these limits allow.
"""

from typing import Final

# faas-cli sends a secret file twice in one body, as text and as base64: 1 MiB of it needs 2.4 MiB.
BODY_BYTES_MAX: Final = 3 * 1024 * 1024

# A deployment is kept verbatim and comes back in every list, so it may not be as large as a secret.
DEPLOYMENT_BYTES_MAX: Final = 256 * 1024

# A client's own call id is echoed and logged, so it is cut.
CALL_ID_CHARS_MAX: Final = 128

# Without `since` and `tail` a log query reaches this far back, as faasd's does.
LOG_WINDOW_S: Final = 300

# Waits between two attempts to follow a log across a restart of the daemon.
LOG_RETRY_MS_FIRST: Final = 100
LOG_RETRY_MS_MAX: Final = 2000

# Longer than the front door keeps an idle connection, so that it is never us who close one that it is
# about to use.
KEEP_ALIVE_S: Final = 600

# How long open connections may go on after SIGTERM.
SHUTDOWN_GRACE_S: Final = 5
