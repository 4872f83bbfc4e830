//! The contract with the supervisor (jnetd): the calls that it answers, and under which condition.
//!
//! Reading and writing never appear here: data moves on the injected descriptor itself.
//! The filter cannot see what a descriptor is, so a native `AF_UNIX` or netlink socket of the guest
//! reaches the supervisor too; it answers `SECCOMP_USER_NOTIF_FLAG_CONTINUE` for those.

use jd_wire::UDP_FD_BASE;

use super::rule::{
    any_bit, at_least, equals, errno, masked, one_of, pointer, Rule, Word, ALLOW, NOTIFY,
};

const STREAM: u32 = libc::SOCK_STREAM as u32;
const DGRAM: u32 = libc::SOCK_DGRAM as u32;
const RAW: u32 = libc::SOCK_RAW as u32;

/// `TIOCSTI` and `TIOCLINUX`: both type into a terminal.
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];

/// `SOCK_NONBLOCK` and `SOCK_CLOEXEC` share the type argument; only these bits are the type.
const SOCK_TYPE_MASK: u32 = 0xf;
const INET: [u32; 2] = [libc::AF_INET as u32, libc::AF_INET6 as u32];
const SOL_SOCKET: u32 = libc::SOL_SOCKET as u32;
const IPPROTO_TCP: u32 = libc::IPPROTO_TCP as u32;
const TCP_REPAIR: u32 = 19;
const TCP_ULP: u32 = libc::TCP_ULP as u32;

/// Socket options whose state lives on the injected socket itself: the kernel keeps them and the supervisor can
/// read them back (`SO_REUSEADDR` decides about a bind).
const SET_NATIVELY: [u32; 2] = [libc::SO_REUSEADDR as u32, libc::SO_KEEPALIVE as u32];
/// The timeouts too are only read natively: set at the wrong moment they would let a connect or accept that the
/// supervisor makes on the guest's behalf block it for ever.
const READ_NATIVELY: [u32; 6] = [
    libc::SO_REUSEADDR as u32,
    libc::SO_KEEPALIVE as u32,
    libc::SO_RCVTIMEO as u32,
    libc::SO_SNDTIMEO as u32,
    66, // SO_RCVTIMEO_NEW
    67, // SO_SNDTIMEO_NEW
];

/// Every call that may be notified, with the exact condition.
#[must_use]
pub fn rows() -> Vec<(libc::c_long, Rule)> {
    vec![
        // socket(AF_INET|AF_INET6, SOCK_STREAM|SOCK_DGRAM, *): a new socket object; the answer injects its descriptor.
        // AF_UNIX and NETLINK_ROUTE are native; raw sockets EPERM as for any unprivileged program; all else is absent.
        (libc::SYS_socket, socket()),
        // socketpair: only AF_UNIX exists, native.
        (
            libc::SYS_socketpair,
            unix_only(ALLOW, errno(libc::EOPNOTSUPP)),
        ),
        // bind, always: the port table of the sandbox.
        (libc::SYS_bind, NOTIFY),
        // listen, always: the exact moment of readiness.
        (libc::SYS_listen, NOTIFY),
        // connect, always: inside the sandbox, to the gateway, to the resolver or out.
        (libc::SYS_connect, NOTIFY),
        // accept, accept4 with an address buffer: the kernel would write an AF_UNIX name. Without one: native.
        (libc::SYS_accept, pointer(1, &NOTIFY, ALLOW)),
        (libc::SYS_accept4, pointer(1, &NOTIFY, ALLOW)),
        // getsockname, getpeername, always: IPv4/IPv6 names instead of AF_UNIX ones.
        (libc::SYS_getsockname, NOTIFY),
        (libc::SYS_getpeername, NOTIFY),
        // setsockopt: TCP level succeeds without a notification (worth about 70 us per connection) but for TCP_ULP and
        // TCP_REPAIR; options of SET_NATIVELY are native; everything else is notified.
        (libc::SYS_setsockopt, setsockopt()),
        // getsockopt: READ_NATIVELY are native; everything else is notified (SO_ERROR, SO_TYPE, SO_DOMAIN, TCP_INFO …).
        (libc::SYS_getsockopt, native_options(&READ_NATIVELY)),
        // sendto with a destination, recvfrom with a source buffer: UDP. Without one they are send and recv: native.
        (libc::SYS_sendto, pointer(4, &NOTIFY, ALLOW)),
        (libc::SYS_recvfrom, pointer(4, &NOTIFY, ALLOW)),
        // sendmsg, sendmmsg, recvmsg, recvmmsg on descriptors from UDP_FD_BASE up, where the supervisor puts datagram
        // sockets: the filter cannot see msg_name. A functional hint only, never a wall.
        (libc::SYS_sendmsg, datagram()),
        (libc::SYS_sendmmsg, datagram()),
        (libc::SYS_recvmsg, datagram()),
        (libc::SYS_recvmmsg, datagram()),
        // ioctl 0x89xx (SIOC*): would act on the socket's own namespace, so it is emulated. TIOCSTI and TIOCLINUX are
        // refused (they type into a terminal); the rest is native.
        (libc::SYS_ioctl, ioctl()),
        // shutdown(SHUT_RD): AF_UNIX would make the peer's writes fail where TCP goes on. SHUT_WR, SHUT_RDWR: native.
        (
            libc::SYS_shutdown,
            equals(Word::Low(1), libc::SHUT_RD as u32, NOTIFY, ALLOW),
        ),
    ]
}

fn unix_only(yes: Rule, no: Rule) -> Rule {
    equals(Word::Low(0), libc::AF_UNIX as u32, yes, no)
}

fn socket() -> Rule {
    let kind = |value: u32, yes, no| masked(Word::Low(1), SOCK_TYPE_MASK, value, yes, no);
    let raw = kind(RAW, errno(libc::EPERM), errno(libc::ESOCKTNOSUPPORT));
    let inet = kind(STREAM, NOTIFY, kind(DGRAM, NOTIFY, raw));
    let route = equals(
        Word::Low(2),
        libc::NETLINK_ROUTE as u32,
        ALLOW,
        errno(libc::EPROTONOSUPPORT),
    );
    let netlink = equals(
        Word::Low(0),
        libc::AF_NETLINK as u32,
        route,
        errno(libc::EAFNOSUPPORT),
    );
    unix_only(ALLOW, one_of(Word::Low(0), &INET, &inet, netlink))
}

fn native_options(options: &[u32]) -> Rule {
    let native = one_of(Word::Low(2), options, &ALLOW, NOTIFY);
    equals(Word::Low(1), SOL_SOCKET, native, NOTIFY)
}

fn setsockopt() -> Rule {
    let repair = equals(Word::Low(2), TCP_REPAIR, errno(libc::EPERM), errno(0));
    let tcp = equals(Word::Low(2), TCP_ULP, errno(libc::ENOPROTOOPT), repair);
    equals(
        Word::Low(1),
        IPPROTO_TCP,
        tcp,
        native_options(&SET_NATIVELY),
    )
}

fn datagram() -> Rule {
    // A negative descriptor is at least UDP_FD_BASE unsigned; native, so that the kernel says EBADF.
    let native = any_bit(Word::Low(0), 0x8000_0000, ALLOW, NOTIFY);
    at_least(Word::Low(0), UDP_FD_BASE, native, ALLOW)
}

fn ioctl() -> Rule {
    let native = one_of(Word::Low(1), &TERMINAL_INPUT, &errno(libc::EPERM), ALLOW);
    masked(Word::Low(1), 0xffff_ff00, 0x8900, NOTIFY, native)
}
