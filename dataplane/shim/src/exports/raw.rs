//! syscall(3): programs that go round libc's names still pass by libc here (libuv closes so).

use crate::connection;
use crate::exports;
use crate::next;
use crate::sys::number as nr;
use crate::table::{self, Kind};

use super::transfer::leave_to_kernel;
use super::{descriptors, readiness, spawning, transfer};

exports! {
    /// syscall(3).
    fn syscall(number: i64, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> i64 {
        match number as usize {
            nr::CLOSE => return i64::from(descriptors::close(a as i32)),
            nr::CLOSE_RANGE => return i64::from(descriptors::close_range(a as u32, b as u32, c as i32)),
            nr::CLONE | nr::FORK | nr::VFORK => return process(number, a, b, c, d, e),
            nr::CLONE3 => {
                // `struct clone_args` begins with the flags.
                let flags = (a as *const u64).as_ref().map_or(0, |flags| *flags as usize);
                spawning::before_raw(Some(flags));
                let answer = next::syscall(number, a, b, c, d, e, f);
                spawning::raw_forked(Some(flags), answer);
                return answer;
            }
            nr::EXECVE | nr::EXECVEAT => connection::leave_inheritable(),
            nr::ACCEPT | nr::ACCEPT4 => {}
            _ => {
                if let Some(answer) = known(number as usize, [a, b, c, d, e, f]) {
                    return answer;
                }
            }
        }
        next::syscall(number, a, b, c, d, e, f)
    }
}

/// A raw fork. A raw vfork must not return into this frame twice, so it becomes a fork, which POSIX allows.
unsafe fn process(number: i64, a: usize, b: usize, c: usize, d: usize, e: usize) -> i64 {
    let flags = (number as usize == nr::CLONE).then_some(a);
    let number = if number as usize == nr::VFORK {
        nr::FORK as i64
    } else {
        number
    };
    spawning::before_raw(flags);
    // SAFETY: the caller's arguments.
    let answer = unsafe { next::syscall(number, a, b, c, d, e, 0) };
    spawning::raw_forked(flags, answer);
    answer
}

/// Calls on a descriptor that the shim answers for; `None`: the kernel does.
unsafe fn known(number: usize, arguments: [usize; 6]) -> Option<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's arguments, in the order of the functions of these names.
    unsafe {
        match number {
            nr::EPOLL_CREATE => return Some(i64::from(readiness::epoll_create(a as i32))),
            nr::EPOLL_CREATE1 => return Some(i64::from(readiness::epoll_create1(a as i32))),
            nr::EPOLL_CTL => {
                return Some(i64::from(readiness::epoll_ctl(
                    a as i32,
                    b as i32,
                    c as i32,
                    d as *mut _,
                )))
            }
            nr::EPOLL_WAIT => {
                return Some(i64::from(readiness::epoll_wait(
                    a as i32,
                    b as *mut _,
                    c as i32,
                    d as i32,
                )))
            }
            nr::EPOLL_PWAIT => {
                return Some(i64::from(readiness::epoll_pwait(
                    a as i32,
                    b as *mut _,
                    c as i32,
                    d as i32,
                    e as *const _,
                )));
            }
            nr::EPOLL_PWAIT2 => {
                return Some(i64::from(readiness::epoll_pwait2(
                    a as i32,
                    b as *mut _,
                    c as i32,
                    d as *const _,
                    e as *const _,
                )));
            }
            nr::SELECT => {
                return Some(i64::from(readiness::select(
                    a as i32,
                    b as *mut _,
                    c as *mut _,
                    d as *mut _,
                    e as *mut _,
                )));
            }
            nr::POLL => return Some(i64::from(readiness::poll(a as *mut _, b as u64, c as i32))),
            nr::PPOLL => {
                return Some(i64::from(readiness::ppoll(
                    a as *mut _,
                    b as u64,
                    c as *const _,
                    d as *const _,
                )));
            }
            _ => {}
        }
        // Everything else has its descriptor first.
        if !matches!(
            table::look(a as i32).kind(),
            Kind::Ring | Kind::Watched | Kind::Upgrading
        ) {
            return None;
        }
        Some(match number {
            nr::READ => transfer::read(a as i32, b as *mut u8, c) as i64,
            nr::WRITE => transfer::write(a as i32, b as *const u8, c) as i64,
            nr::READV => transfer::readv(a as i32, b as *const _, c as i32) as i64,
            nr::WRITEV => transfer::writev(a as i32, b as *const _, c as i32) as i64,
            nr::RECVFROM => transfer::recvfrom(
                a as i32,
                b as *mut u8,
                c,
                d as i32,
                e as *mut u8,
                f as *mut u32,
            ) as i64,
            nr::SENDTO => transfer::sendto(
                a as i32,
                b as *const u8,
                c,
                d as i32,
                e as *const u8,
                f as u32,
            ) as i64,
            nr::RECVMSG => transfer::recvmsg(a as i32, b as *mut _, c as i32) as i64,
            nr::SENDMSG => transfer::sendmsg(a as i32, b as *const _, c as i32) as i64,
            nr::SHUTDOWN => i64::from(descriptors::shutdown(a as i32, b as i32)),
            nr::FCNTL => i64::from(descriptors::fcntl(a as i32, b as i32, c)),
            nr::IOCTL => i64::from(descriptors::ioctl(a as i32, b, c)),
            nr::DUP => i64::from(descriptors::dup(a as i32)),
            nr::DUP2 => i64::from(descriptors::dup2(a as i32, b as i32)),
            nr::DUP3 => i64::from(descriptors::dup3(a as i32, b as i32, c as i32)),
            nr::SETSOCKOPT => i64::from(descriptors::setsockopt(
                a as i32,
                b as i32,
                c as i32,
                d as *const u8,
                e as u32,
            )),
            nr::SENDFILE => transfer::sendfile(a as i32, b as i32, c as *mut i64, d) as i64,
            nr::SPLICE => transfer::splice(
                a as i32,
                b as *mut i64,
                c as i32,
                d as *mut i64,
                e,
                f as u32,
            ) as i64,
            nr::SENDMMSG | nr::RECVMMSG => {
                leave_to_kernel(a as i32);
                return None;
            }
            _ => return None,
        })
    }
}
