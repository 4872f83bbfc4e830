//! What launcher and supervisor agree on about notified calls (seccomp_unotify(2)).

/// Descriptors of UDP sockets are placed at this number and above, where the filter can tell their
/// `sendmsg` and `recvmsg` (whose addresses lie out of its sight) from those of streams.
/// High enough to be rare among streams, low enough to keep a process's descriptor table small.
/// A hint for compatibility, never a wall: a guest may duplicate a descriptor to any number.
pub const UDP_FD_BASE: u32 = 4096;
