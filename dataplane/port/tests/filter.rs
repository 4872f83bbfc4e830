//! The filter of the tests does what the launcher's does.
#![allow(missing_docs, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[path = "support/filter.rs"]
mod filter;

use filter::*;
use jd_wire::UDP_FD_BASE;
use libc::{c_int, c_long};

const NOTIFY: u32 = RET_USER_NOTIF;
const ALLOW: u32 = RET_ALLOW;

/// Runs the program as the kernel would.
fn verdict_of(arch: u32, nr: c_long, arguments: [u64; 6]) -> u32 {
    let program = program();
    let mut data = [0_u8; 64];
    data[..4].copy_from_slice(&(nr as u32).to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (index, argument) in arguments.iter().enumerate() {
        data[16 + index * 8..24 + index * 8].copy_from_slice(&argument.to_le_bytes());
    }
    let (mut pc, mut accumulator) = (0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[pc];
        pc += 1;
        match code {
            0x20 => {
                let at = k as usize;
                accumulator = u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
            }
            0x15 => pc += usize::from(if accumulator == k { jt } else { jf }),
            0x35 => pc += usize::from(if accumulator >= k { jt } else { jf }),
            0x06 => return k,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

fn verdict(nr: c_long, arguments: &[u64]) -> u32 {
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    verdict_of(AUDIT_ARCH, nr, six)
}

fn error(number: c_int) -> u32 {
    RET_ERRNO | number as u32
}

#[test]
fn families_are_allowed_by_list() {
    for family in [libc::AF_INET, libc::AF_INET6] {
        assert_eq!(verdict(libc::SYS_socket, &[family as u64, 1]), NOTIFY);
    }
    for family in [libc::AF_UNIX, libc::AF_NETLINK] {
        assert_eq!(verdict(libc::SYS_socket, &[family as u64, 1]), ALLOW);
    }
    for family in [
        libc::AF_PACKET,
        libc::AF_VSOCK,
        libc::AF_ALG,
        43,
        44,
        0,
        999,
    ] {
        let want = error(libc::EAFNOSUPPORT);
        assert_eq!(
            verdict(libc::SYS_socket, &[family as u64, 1]),
            want,
            "{family}"
        );
    }
}

#[test]
fn other_doors_into_the_kernel_are_shut() {
    let want = error(libc::ENOSYS);
    assert_eq!(
        verdict_of(0x4000_0003, libc::SYS_socket, [2, 1, 0, 0, 0, 0]),
        want
    );
    #[cfg(target_arch = "x86_64")]
    assert_eq!(verdict(0x4000_0000 | libc::SYS_socket, &[2, 1]), want);
    for nr in NOT_THERE {
        assert_eq!(verdict(*nr, &[]), want);
    }
}

#[test]
fn calls_without_an_address_run_natively() {
    for &(nr, index) in WITH_POINTER {
        let mut arguments = [3, 0, 0, 0, 0, 0];
        assert_eq!(verdict(nr, &arguments), ALLOW);
        for pointer in [1, 0x7fff_0000_0000, 0x1_0000_0000] {
            arguments[index as usize] = pointer;
            assert_eq!(verdict(nr, &arguments), NOTIFY, "{nr} {pointer:#x}");
        }
    }
}

#[test]
fn messages_are_notified_on_high_descriptors_only() {
    let base = u64::from(UDP_FD_BASE);
    for nr in BY_DESCRIPTOR {
        assert_eq!(verdict(*nr, &[base - 1]), ALLOW);
        assert_eq!(verdict(*nr, &[base]), NOTIFY);
        assert_eq!(verdict(*nr, &[base | 0xffff_ffff_0000_0000]), NOTIFY);
    }
}

#[test]
fn options_are_native_short_cut_or_notified() {
    let set =
        |level: c_int, name: c_int| verdict(libc::SYS_setsockopt, &[3, level as u64, name as u64]);
    let get =
        |level: c_int, name: c_int| verdict(libc::SYS_getsockopt, &[3, level as u64, name as u64]);
    for &name in SET_NATIVELY {
        assert_eq!(set(libc::SOL_SOCKET, name), ALLOW);
    }
    for &name in READ_NATIVELY {
        assert_eq!(get(libc::SOL_SOCKET, name), ALLOW);
    }
    for name in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO, 66, 67] {
        assert_eq!(set(libc::SOL_SOCKET, name), NOTIFY);
    }
    for &name in SHORT_CUT_TCP_OPTIONS {
        assert_eq!(set(libc::IPPROTO_TCP, name), error(0));
        assert_eq!(get(libc::IPPROTO_TCP, name), NOTIFY);
    }
    for name in [
        libc::SO_MARK,
        libc::SO_PASSCRED,
        libc::SO_REUSEPORT,
        libc::SO_BINDTODEVICE,
    ] {
        assert_eq!(set(libc::SOL_SOCKET, name), NOTIFY);
    }
    for name in [
        libc::SO_PEERCRED,
        libc::SO_ERROR,
        libc::SO_TYPE,
        libc::SO_DOMAIN,
    ] {
        assert_eq!(get(libc::SOL_SOCKET, name), NOTIFY);
    }
    assert_eq!(set(libc::IPPROTO_TCP, libc::TCP_ULP), NOTIFY);
    assert_eq!(set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY), NOTIFY);
}

#[test]
fn socket_ioctls_are_notified_and_no_other() {
    for (command, want) in [
        (0x88ff, ALLOW),
        (0x8900, NOTIFY),
        (0x894c, NOTIFY),
        (0x89ff, NOTIFY),
    ] {
        assert_eq!(
            verdict(libc::SYS_ioctl, &[3, command]),
            want,
            "{command:#x}"
        );
    }
    assert_eq!(verdict(libc::SYS_ioctl, &[3, 0x8a00]), ALLOW);
    assert_eq!(verdict(libc::SYS_ioctl, &[3, 0x5421]), ALLOW);
}

#[test]
fn only_shutdown_for_reading_is_notified() {
    assert_eq!(verdict(libc::SYS_shutdown, &[3, 0]), NOTIFY);
    assert_eq!(verdict(libc::SYS_shutdown, &[3, 1]), ALLOW);
    assert_eq!(verdict(libc::SYS_shutdown, &[3, 2]), ALLOW);
}

#[test]
fn notified_calls_are_known_as_such() {
    for nr in 0..500 {
        let notified = (0..8_u64).any(|level| {
            verdict(nr, &[base_of(level), 0x8900 * (level & 1), 1, 1, 1, 1]) == NOTIFY
        });
        if notified {
            assert!(is_notified(nr), "{nr}");
        }
    }
    assert!(!is_notified(libc::SYS_read));
}

fn base_of(level: u64) -> u64 {
    if level < 3 {
        level
    } else {
        u64::from(UDP_FD_BASE)
    }
}

#[test]
fn the_program_fits_the_kernels_limit() {
    assert!(program().len() < 4096);
}
