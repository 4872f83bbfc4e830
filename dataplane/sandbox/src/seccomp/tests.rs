//! The filter against an interpreter: the compiled program, not the tree, is what is asked.

use jd_wire::UDP_FD_BASE;

use super::assembler::INSTRUCTIONS_MAX;
use super::machine::{run, Call};
use super::policy::{self, NATIVE_ARCH, X32_BIT};
use super::rule::Action;
use super::{allow, program};

const ALLOW: Action = Action::Allow;
const NOTIFY: Action = Action::Notify;
const I386: u32 = 0x4000_0003;
const POINTER: u64 = 0x7fff_0000_1000;

fn errno(errno: i32) -> Action {
    Action::Errno(u16::try_from(errno).expect("an errno"))
}

fn call(number: libc::c_long, arguments: [u64; 6]) -> Call {
    Call {
        number: u32::try_from(number).expect("a call"),
        arch: NATIVE_ARCH,
        arguments,
    }
}

fn first(arguments: &[u64]) -> [u64; 6] {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    all
}

#[track_caller]
fn expect(number: libc::c_long, arguments: &[u64], action: Action) {
    let found = run(program(), &call(number, first(arguments)));
    assert_eq!(
        found,
        Some(action.encode()),
        "call {number} {arguments:?} should be {action:?}"
    );
}

fn unsigned(value: i32) -> u64 {
    u64::from(u32::from_ne_bytes(value.to_ne_bytes()))
}

#[test]
fn the_program_is_one_that_the_kernel_takes() {
    let program = program();
    assert!(
        program.len() < INSTRUCTIONS_MAX,
        "{} instructions",
        program.len()
    );
}

#[test]
fn entries_of_other_tables_are_closed() {
    let program = program();
    for number in 0..600 {
        let other = Call {
            number,
            arch: I386,
            arguments: [0; 6],
        };
        assert_eq!(run(program, &other), Some(errno(libc::ENOSYS).encode()));
        let x32 = Call {
            number: number | X32_BIT,
            arch: NATIVE_ARCH,
            arguments: [0; 6],
        };
        assert_eq!(run(program, &x32), Some(errno(libc::ENOSYS).encode()));
    }
}

#[test]
fn io_uring_and_calls_of_the_future_look_like_an_older_kernel() {
    for number in [
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_clone3,
    ] {
        expect(number, &[], errno(libc::ENOSYS));
    }
    for number in [u32::MAX >> 2, 1000, allow::KNOWN_MAX + 1] {
        expect(libc::c_long::from(number), &[], errno(libc::ENOSYS));
    }
}

#[test]
fn what_a_function_never_needs_is_refused() {
    let refused = [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_open_by_handle_at,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_reboot,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        libc::SYS_fanotify_init,
        libc::SYS_vhangup,
        libc::SYS_iopl,
        libc::SYS_ioperm,
        libc::SYS_process_madvise,
        libc::SYS_lookup_dcookie,
        libc::SYS_nfsservctl,
    ];
    for number in refused {
        expect(number, &[], errno(libc::EPERM));
    }
}

#[test]
fn threads_and_processes_but_no_namespaces() {
    let thread = 0x003d_0f00;
    expect(libc::SYS_clone, &[thread], ALLOW);
    expect(libc::SYS_clone, &[unsigned(libc::SIGCHLD)], ALLOW);
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    for namespace in namespaces {
        expect(
            libc::SYS_clone,
            &[unsigned(namespace) | 17],
            errno(libc::EPERM),
        );
        expect(
            libc::SYS_clone,
            &[unsigned(namespace) | thread | 0xdead_0000_0000],
            errno(libc::EPERM),
        );
    }
}

#[test]
fn nobody_lowers_its_priority_to_hold_kernel_locks_longer() {
    for number in [
        libc::SYS_setpriority,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
    ] {
        expect(number, &[0, 0, 19], errno(0));
    }
    expect(libc::SYS_sched_setaffinity, &[0, 8], ALLOW);
}

#[test]
fn no_hole_is_punched_under_a_neighbours_page_fault() {
    let punch = unsigned(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE);
    expect(libc::SYS_fallocate, &[3, 0, 0, 4096], ALLOW);
    expect(
        libc::SYS_fallocate,
        &[3, unsigned(libc::FALLOC_FL_KEEP_SIZE)],
        ALLOW,
    );
    for mode in [punch, punch | 0xdead_0000_0000] {
        expect(
            libc::SYS_fallocate,
            &[3, mode, 0, 4096],
            errno(libc::EOPNOTSUPP),
        );
    }
    let advice = |value| [0x7000_0000, 4096, unsigned(value)];
    expect(libc::SYS_madvise, &advice(libc::MADV_DONTNEED), ALLOW);
    expect(libc::SYS_madvise, &advice(libc::MADV_FREE), ALLOW);
    expect(
        libc::SYS_madvise,
        &advice(libc::MADV_REMOVE),
        errno(libc::EINVAL),
    );
}

#[test]
fn socket_families_and_types() {
    let inet = [libc::AF_INET, libc::AF_INET6].map(unsigned);
    let flags = unsigned(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    for family in inet {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            expect(
                libc::SYS_socket,
                &[family, unsigned(kind) | flags, 0],
                NOTIFY,
            );
            // The kernel looks at 32 bits; so must we.
            expect(
                libc::SYS_socket,
                &[family | 1 << 40, unsigned(kind) | 1 << 33, 0],
                NOTIFY,
            );
        }
        expect(
            libc::SYS_socket,
            &[family, unsigned(libc::SOCK_RAW) | flags, 1],
            errno(libc::EPERM),
        );
        for kind in [0, 4, 5, 6, 10] {
            expect(
                libc::SYS_socket,
                &[family, kind, 0],
                errno(libc::ESOCKTNOSUPPORT),
            );
        }
    }
    expect(libc::SYS_socket, &[unsigned(libc::AF_UNIX), 1, 0], ALLOW);
    expect(libc::SYS_socket, &[unsigned(libc::AF_NETLINK), 3, 0], ALLOW);
    for protocol in (1..32).chain([u64::from(u32::MAX)]) {
        expect(
            libc::SYS_socket,
            &[unsigned(libc::AF_NETLINK), 3, protocol],
            errno(libc::EPROTONOSUPPORT),
        );
    }
    let known = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ]
    .map(unsigned);
    for family in (0..64).filter(|family| !known.contains(family)) {
        expect(libc::SYS_socket, &[family, 1, 0], errno(libc::EAFNOSUPPORT));
    }
    expect(libc::SYS_socketpair, &[1, 1, 0], ALLOW);
    expect(libc::SYS_socketpair, &[2, 1, 0], errno(libc::EOPNOTSUPP));
}

#[test]
fn socket_calls_that_the_supervisor_answers() {
    for number in [
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_connect,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
    ] {
        expect(number, &[3, 0, 0], NOTIFY);
    }
    for number in [libc::SYS_accept, libc::SYS_accept4] {
        expect(number, &[3, 0, POINTER], ALLOW);
        expect(number, &[3, POINTER, POINTER], NOTIFY);
        expect(number, &[3, 1 << 32, 0], NOTIFY);
    }
    for number in [libc::SYS_sendto, libc::SYS_recvfrom] {
        expect(number, &[3, POINTER, 10, 0, 0, 0], ALLOW);
        expect(number, &[3, POINTER, 10, 0, POINTER, 16], NOTIFY);
        expect(number, &[3, POINTER, 10, 0, 1 << 47, 16], NOTIFY);
    }
    let base = u64::from(UDP_FD_BASE);
    for number in [
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_recvmsg,
        libc::SYS_recvmmsg,
    ] {
        expect(number, &[base - 1, POINTER], ALLOW);
        expect(number, &[base, POINTER], NOTIFY);
        expect(number, &[base + 90_000, POINTER], NOTIFY);
        expect(number, &[unsigned(-1), POINTER], ALLOW);
    }
    expect(libc::SYS_shutdown, &[3, 0], NOTIFY);
    expect(libc::SYS_shutdown, &[3, 1], ALLOW);
    expect(libc::SYS_shutdown, &[3, 2], ALLOW);
}

#[test]
fn timeouts_are_set_by_the_supervisor_only() {
    let socket = unsigned(libc::SOL_SOCKET);
    // Both spellings: 66 and 67 are SO_RCVTIMEO_NEW and SO_SNDTIMEO_NEW.
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO, 66, 67] {
        expect(libc::SYS_setsockopt, &[3, socket, unsigned(option)], NOTIFY);
        // The kernel takes ints: what the upper half holds changes nothing.
        let (level, option) = (socket | 1 << 32, unsigned(option) | 1 << 32);
        expect(libc::SYS_setsockopt, &[3, level, option], NOTIFY);
        expect(libc::SYS_getsockopt, &[3, socket, option], ALLOW);
    }
}

#[test]
fn calls_that_reach_what_the_whole_host_shares_do_nothing() {
    for number in [
        libc::SYS_io_setup,
        libc::SYS_io_submit,
        libc::SYS_io_getevents,
        libc::SYS_io_cancel,
        libc::SYS_io_destroy,
    ] {
        expect(number, &[1, POINTER], errno(libc::ENOSYS));
    }
    expect(libc::SYS_sync, &[], errno(0));
    expect(libc::SYS_syncfs, &[3], errno(0));
    expect(libc::SYS_fsync, &[3], ALLOW);
}

#[test]
fn socket_options() {
    let (tcp, socket) = (unsigned(libc::IPPROTO_TCP), unsigned(libc::SOL_SOCKET));
    expect(
        libc::SYS_setsockopt,
        &[3, tcp, unsigned(libc::TCP_NODELAY)],
        Action::Errno(0),
    );
    expect(
        libc::SYS_setsockopt,
        &[3, tcp, unsigned(libc::TCP_ULP)],
        errno(libc::ENOPROTOOPT),
    );
    expect(libc::SYS_setsockopt, &[3, tcp, 19], errno(libc::EPERM));
    expect(
        libc::SYS_getsockopt,
        &[3, tcp, unsigned(libc::TCP_NODELAY)],
        NOTIFY,
    );
    for number in [libc::SYS_setsockopt, libc::SYS_getsockopt] {
        for option in [libc::SO_REUSEADDR, libc::SO_KEEPALIVE] {
            expect(number, &[3, socket, unsigned(option)], ALLOW);
            expect(
                number,
                &[3, unsigned(libc::SOL_IP), unsigned(option)],
                NOTIFY,
            );
        }
        let answered = [
            libc::SO_REUSEPORT,
            libc::SO_MARK,
            libc::SO_PEERCRED,
            libc::SO_BINDTODEVICE,
            libc::SO_PASSCRED,
        ];
        for option in answered.into_iter().chain([
            libc::SO_ERROR,
            libc::SO_TYPE,
            libc::SO_SNDBUF,
            libc::SO_LINGER,
        ]) {
            expect(number, &[3, socket, unsigned(option)], NOTIFY);
        }
    }
}

#[test]
fn requests_of_interfaces_and_terminals() {
    for request in [0x8900, 0x8912, 0x8914, 0x894c, 0x89ff] {
        expect(libc::SYS_ioctl, &[3, request], NOTIFY);
        expect(libc::SYS_ioctl, &[3, request | 0xffff_0000_0000], NOTIFY);
    }
    expect(libc::SYS_ioctl, &[3, 0x5421], ALLOW); // FIONBIO
    expect(libc::SYS_ioctl, &[3, 0x541b], ALLOW); // FIONREAD
    for request in [0x5412, 0x541c, 0x1_0000_5412] {
        expect(libc::SYS_ioctl, &[3, request], errno(libc::EPERM));
    }
}

#[test]
fn notifications_are_exactly_the_rows_of_the_contract() {
    // Its row only says that it is never notified.
    let rows: Vec<_> = super::notify::rows()
        .into_iter()
        .map(|(number, _)| number)
        .filter(|number| *number != libc::SYS_socketpair)
        .collect();
    for (number, rule) in policy::rules() {
        let notifies = format!("{rule:?}").contains("Notify");
        assert_eq!(
            notifies,
            rows.contains(&libc::c_long::from(number)),
            "call {number}"
        );
    }
}
