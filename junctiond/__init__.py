"""The host daemon: sandboxes, images, addresses and the data plane of one machine."""

import os

# Children of the daemon are executed at once, so gRPC needs no handlers around fork; with them it writes a warning
# to standard error for each child. gRPC reads this when it is first imported, which is after this line.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
