//! Which socket options are known, and what becomes of them (socket(7), tcp(7), ip(7), ipv6(7)).

/// Longest value of an option that is taken.
pub(crate) const VALUE_BYTES_MAX: usize = 16;

/// Options of `SOL_SOCKET` that mean the same on AF_UNIX and are applied to the socket.
pub(crate) const APPLIED: &[i32] = &[
    libc::SO_REUSEADDR,
    libc::SO_BROADCAST,
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_KEEPALIVE,
    libc::SO_OOBINLINE,
    libc::SO_LINGER,
    libc::SO_RCVLOWAT,
    libc::SO_RCVTIMEO,
    libc::SO_SNDTIMEO,
];

/// Options of `SOL_SOCKET` that say how long a call blocks, in both spellings.
pub(crate) const TIMEOUTS: &[i32] = &[
    libc::SO_RCVTIMEO,
    libc::SO_SNDTIMEO,
    66, // SO_RCVTIMEO_NEW
    67, // SO_SNDTIMEO_NEW
];

/// Options of `SOL_SOCKET` that tune a device which is not there.
pub(crate) const IGNORED: &[i32] = &[
    libc::SO_DONTROUTE,
    libc::SO_PRIORITY,
    libc::SO_TIMESTAMP,
    libc::SO_TIMESTAMPNS,
    libc::SO_RXQ_OVFL,
    libc::SO_BUSY_POLL,
    libc::SO_MAX_PACING_RATE,
    libc::SO_INCOMING_CPU,
];

/// Options of `IPPROTO_TCP` that tune a wire which is not there.
pub(crate) const IGNORED_TCP: &[i32] = &[
    libc::TCP_NODELAY,
    libc::TCP_MAXSEG,
    libc::TCP_CORK,
    libc::TCP_KEEPIDLE,
    libc::TCP_KEEPINTVL,
    libc::TCP_KEEPCNT,
    libc::TCP_SYNCNT,
    libc::TCP_LINGER2,
    libc::TCP_DEFER_ACCEPT,
    libc::TCP_WINDOW_CLAMP,
    libc::TCP_QUICKACK,
    libc::TCP_CONGESTION,
    libc::TCP_USER_TIMEOUT,
    libc::TCP_FASTOPEN,
    25, // TCP_NOTSENT_LOWAT
    30, // TCP_FASTOPEN_CONNECT
];

/// Options of `IPPROTO_IP` with the value that Linux shows by default.
pub(crate) const IP: &[(i32, i32)] = &[
    (libc::IP_TOS, 0),
    (libc::IP_TTL, 64),
    (libc::IP_MTU_DISCOVER, 1),
    (libc::IP_RECVERR, 0),
    (libc::IP_PKTINFO, 0),
    (libc::IP_RECVTOS, 0),
    (libc::IP_RECVTTL, 0),
    (libc::IP_MULTICAST_TTL, 1),
    (libc::IP_MULTICAST_LOOP, 1),
    (libc::IP_FREEBIND, 0),
    (libc::IP_BIND_ADDRESS_NO_PORT, 0),
];

/// Options of `IPPROTO_IPV6` with the value that Linux shows by default.
pub(crate) const IPV6: &[(i32, i32)] = &[
    (libc::IPV6_UNICAST_HOPS, 64),
    (libc::IPV6_MULTICAST_HOPS, 1),
    (libc::IPV6_MULTICAST_LOOP, 1),
    (libc::IPV6_MTU_DISCOVER, 1),
    (libc::IPV6_RECVERR, 0),
    (libc::IPV6_RECVPKTINFO, 0),
    (libc::IPV6_RECVHOPLIMIT, 0),
    (libc::IPV6_RECVTCLASS, 0),
    (libc::IPV6_TCLASS, 0),
];
