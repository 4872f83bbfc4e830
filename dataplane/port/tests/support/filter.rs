//! The seccomp filter that turns a guest's socket calls into notifications (seccomp_unotify(2)).
//!
//! What the launcher's filter does, reduced to the calls that matter to the supervisor. Install with
//! `SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, and the supervisor
//! answers exactly what it notifies. The program is meant to be *stacked* with the launcher's
//! default-deny list: the stricter action of the two wins, so what this one allows is only "not my
//! business". It must be installed last, as the calls of the launcher itself would be notified too.
//!
//! What runs natively on an injected descriptor is what is harmless there: reads, writes, accept
//! without an address, the listed options.

use jd_wire::UDP_FD_BASE;
use libc::{c_int, c_long};

/// One instruction of classic BPF, laid out as `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

pub const RET_ALLOW: u32 = 0x7fff_0000;
pub const RET_ERRNO: u32 = 0x0005_0000;
pub const RET_USER_NOTIF: u32 = 0x7fc0_0000;

#[cfg(target_arch = "x86_64")]
pub const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Set in the number of a call that enters by the x32 ABI.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

// Offsets in struct seccomp_data; both supported machines are little-endian.
const OFFSET_NR: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const fn argument_low(index: u32) -> u32 {
    16 + index * 8
}

/// Options of level `SOL_SOCKET` that the kernel keeps on the injected socket.
pub const SET_NATIVELY: &[c_int] = &[libc::SO_REUSEADDR, libc::SO_KEEPALIVE];

/// The same to read; the timeouts are set by the supervisor alone.
pub const READ_NATIVELY: &[c_int] = &[
    libc::SO_REUSEADDR,
    libc::SO_KEEPALIVE,
    libc::SO_RCVTIMEO,
    libc::SO_SNDTIMEO,
];

/// Options of level `IPPROTO_TCP` that tune a wire which is not there: setting one succeeds in the
/// filter, without the supervisor. Worth about 70 us per accepted connection of a Go server.
pub const SHORT_CUT_TCP_OPTIONS: &[c_int] = &[
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
    libc::TCP_USER_TIMEOUT,
    libc::TCP_FASTOPEN,
    25, // TCP_NOTSENT_LOWAT
    30, // TCP_FASTOPEN_CONNECT
];

/// First and last ioctl number that acts on a socket's network namespace.
pub const SOCKET_IOCTLS: (u32, u32) = (0x8900, 0x89ff);

/// Whether calls of `nr` can reach the supervisor.
#[must_use]
pub fn is_notified(nr: c_long) -> bool {
    ALWAYS.contains(&nr)
        || WITH_POINTER.iter().any(|&(number, _)| number == nr)
        || BY_DESCRIPTOR.contains(&nr)
        || [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_setsockopt,
            libc::SYS_getsockopt,
        ]
        .contains(&nr)
        || [libc::SYS_ioctl, libc::SYS_shutdown].contains(&nr)
}

pub const ALWAYS: &[c_long] = &[
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
];

/// Calls that matter only when the argument of that index, an address, is given.
pub const WITH_POINTER: &[(c_long, u32)] = &[
    (libc::SYS_accept, 1),
    (libc::SYS_accept4, 1),
    (libc::SYS_sendto, 4),
    (libc::SYS_recvfrom, 4),
];

/// Calls whose addresses lie behind a pointer: notified for descriptors from [`UDP_FD_BASE`] on.
pub const BY_DESCRIPTOR: &[c_long] = &[
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
];

pub const NOT_THERE: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

const fn load(offset: u32) -> Instruction {
    Instruction {
        code: 0x20,
        jt: 0,
        jf: 0,
        k: offset,
    }
}

const fn give(action: u32) -> Instruction {
    Instruction {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: action,
    }
}

const fn errno(number: c_int) -> Instruction {
    give(RET_ERRNO | (number.unsigned_abs() & 0xffff))
}

const fn if_equal(k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction {
        code: 0x15,
        jt,
        jf,
        k,
    }
}

const fn if_greater_or_equal(k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction {
        code: 0x35,
        jt,
        jf,
        k,
    }
}

/// The bits of an argument as the filter compares them.
const fn word(value: c_int) -> u32 {
    u32::from_ne_bytes(value.to_ne_bytes())
}

/// `values` lead to `action`, anything else falls through. The word is loaded already.
fn any_of(values: &[c_int], action: Instruction) -> Vec<Instruction> {
    let mut block = Vec::with_capacity(values.len() * 2);
    for &value in values {
        block.push(if_equal(word(value), 0, 1));
        block.push(action);
    }
    block
}

fn on_socket() -> Vec<Instruction> {
    let mut block = vec![load(argument_low(0))];
    block.extend(any_of(
        &[libc::AF_INET, libc::AF_INET6],
        give(RET_USER_NOTIF),
    ));
    block.extend(any_of(&[libc::AF_UNIX, libc::AF_NETLINK], give(RET_ALLOW)));
    block.push(errno(libc::EAFNOSUPPORT));
    block
}

fn on_socketpair() -> Vec<Instruction> {
    let mut block = vec![load(argument_low(0))];
    block.extend(any_of(&[libc::AF_UNIX], give(RET_ALLOW)));
    // What Linux says for families that cannot pair, AF_INET among them.
    block.extend(any_of(
        &[libc::AF_INET, libc::AF_INET6],
        errno(libc::EOPNOTSUPP),
    ));
    block.push(errno(libc::EAFNOSUPPORT));
    block
}

fn on_option(native: &[c_int], short_cut: &[c_int]) -> Vec<Instruction> {
    let socket_level = any_of(native, give(RET_ALLOW));
    let mut block = vec![load(argument_low(1))];
    if !short_cut.is_empty() {
        let tcp_level = any_of(short_cut, errno(0));
        let skip = jump(tcp_level.len() + 2);
        block.push(if_equal(word(libc::IPPROTO_TCP), 0, skip));
        block.push(load(argument_low(2)));
        block.extend(tcp_level);
        block.push(give(RET_USER_NOTIF));
    }
    let skip = jump(socket_level.len() + 1);
    block.push(if_equal(word(libc::SOL_SOCKET), 0, skip));
    block.push(load(argument_low(2)));
    block.extend(socket_level);
    block.push(give(RET_USER_NOTIF));
    block
}

fn on_ioctl() -> Vec<Instruction> {
    let (first, last) = SOCKET_IOCTLS;
    vec![
        load(argument_low(1)),
        if_greater_or_equal(first, 0, 1),
        if_greater_or_equal(last + 1, 0, 1),
        give(RET_ALLOW),
        give(RET_USER_NOTIF),
    ]
}

fn on_shutdown() -> Vec<Instruction> {
    let mut block = vec![load(argument_low(1))];
    block.extend(any_of(&[libc::SHUT_RD], give(RET_USER_NOTIF)));
    block.push(give(RET_ALLOW));
    block
}

fn on_pointer(index: u32) -> Vec<Instruction> {
    vec![
        load(argument_low(index)),
        if_equal(0, 0, 2),
        load(argument_low(index) + 4),
        if_equal(0, 1, 0),
        give(RET_USER_NOTIF),
        give(RET_ALLOW),
    ]
}

fn on_descriptor() -> Vec<Instruction> {
    vec![
        load(argument_low(0)),
        // A negative number is no descriptor; the kernel refuses it.
        if_greater_or_equal(0x8000_0000, 1, 0),
        if_greater_or_equal(UDP_FD_BASE, 1, 0),
        give(RET_ALLOW),
        give(RET_USER_NOTIF),
    ]
}

/// Distance of a conditional jump.
fn jump(distance: usize) -> u8 {
    // Blocks are tens of instructions; the tests build every one of them.
    u8::try_from(distance).expect("a block of the filter fits a conditional jump")
}

/// The whole filter.
///
/// # Panics
/// Never: the tables above are constants, and the tests build the program from them.
#[must_use]
pub fn program() -> Vec<Instruction> {
    let enosys = || vec![errno(libc::ENOSYS)];
    let mut blocks: Vec<(c_long, Vec<Instruction>)> = Vec::new();
    // Calls of the data path first: the filter runs for each of them.
    blocks.extend(
        WITH_POINTER
            .iter()
            .map(|&(nr, index)| (nr, on_pointer(index))),
    );
    blocks.extend(BY_DESCRIPTOR.iter().map(|&nr| (nr, on_descriptor())));
    blocks.extend(ALWAYS.iter().map(|&nr| (nr, vec![give(RET_USER_NOTIF)])));
    blocks.push((libc::SYS_ioctl, on_ioctl()));
    blocks.push((libc::SYS_socket, on_socket()));
    blocks.push((libc::SYS_socketpair, on_socketpair()));
    blocks.push((
        libc::SYS_setsockopt,
        on_option(SET_NATIVELY, SHORT_CUT_TCP_OPTIONS),
    ));
    blocks.push((libc::SYS_getsockopt, on_option(READ_NATIVELY, &[])));
    blocks.push((libc::SYS_shutdown, on_shutdown()));
    blocks.extend(NOT_THERE.iter().map(|&nr| (nr, enosys())));

    let mut program = vec![
        load(OFFSET_ARCH),
        if_equal(AUDIT_ARCH, 1, 0),
        errno(libc::ENOSYS),
    ];
    program.push(load(OFFSET_NR));
    #[cfg(target_arch = "x86_64")]
    program.extend([if_greater_or_equal(X32_BIT, 0, 1), errno(libc::ENOSYS)]);
    for (nr, block) in blocks {
        let nr = u32::try_from(nr).expect("numbers of calls are small");
        program.push(if_equal(nr, 0, jump(block.len())));
        program.extend(block);
    }
    program.push(give(RET_ALLOW));
    program
}
