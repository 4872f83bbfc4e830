//! syscall(3): programs that go round libc's names still pass by libc here (libuv closes so).

use crate::connection;
use crate::exports;
use crate::next;
use crate::sys::number as nr;
use crate::table::{self, Kind};

use super::transfer::leave_to_kernel;
use super::{descriptors, readiness, spawning, transfer};

/// What libuv and others take as "use something else".
const ENOSYS: isize = 38;

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
            // As in a sandbox anyway: through an io_uring nothing would pass by us.
            nr::IO_URING_SETUP => return next::finish(-ENOSYS) as i64,
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

/// Calls that the shim answers for; `None`: the kernel does.
unsafe fn known(number: usize, arguments: [usize; 6]) -> Option<i64> {
    // SAFETY: the caller's arguments.
    unsafe {
        readiness_call(number, arguments).or_else(|| {
            // Everything else has its descriptor first.
            let kind = table::look(arguments[0] as i32).kind();
            if !matches!(kind, Kind::Ring | Kind::Watched | Kind::Upgrading) {
                return None;
            }
            transfer_call(number, arguments).or_else(|| descriptor_call(number, arguments))
        })
    }
}

/// A signal set's mask as the kernel takes it is as long as ours: eight bytes.
unsafe fn readiness_call(number: usize, [a, b, c, d, e, _]: [usize; 6]) -> Option<i64> {
    let (fd, third, fourth) = (a as i32, c as i32, d as i32);
    // SAFETY: the caller's arguments, in the order of the functions of these names.
    let answer = unsafe {
        match number {
            nr::EPOLL_CREATE => readiness::epoll_create(fd),
            nr::EPOLL_CREATE1 => readiness::epoll_create1(fd),
            nr::EPOLL_CTL => readiness::epoll_ctl(fd, b as i32, third, d as *mut _),
            nr::EPOLL_WAIT => readiness::epoll_wait(fd, b as *mut _, third, fourth),
            nr::EPOLL_PWAIT => {
                readiness::epoll_pwait(fd, b as *mut _, third, fourth, e as *const _)
            }
            nr::EPOLL_PWAIT2 => {
                readiness::epoll_pwait2(fd, b as *mut _, third, d as *const _, e as *const _)
            }
            nr::SELECT => readiness::select(fd, b as *mut _, c as *mut _, d as *mut _, e as *mut _),
            nr::POLL => readiness::poll(a as *mut _, b as u64, third),
            nr::PPOLL => readiness::ppoll(a as *mut _, b as u64, c as *const _, d as *const _),
            _ => return None,
        }
    };
    Some(i64::from(answer))
}

unsafe fn transfer_call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> Option<i64> {
    let (fd, flags) = (a as i32, d as i32);
    // SAFETY: the caller's arguments, in the order of the functions of these names.
    let answer = unsafe {
        match number {
            nr::READ => transfer::read(fd, b as *mut u8, c),
            nr::WRITE => transfer::write(fd, b as *const u8, c),
            nr::READV => transfer::readv(fd, b as *const _, c as i32),
            nr::WRITEV => transfer::writev(fd, b as *const _, c as i32),
            nr::RECVFROM => {
                transfer::recvfrom(fd, b as *mut u8, c, flags, e as *mut u8, f as *mut u32)
            }
            nr::SENDTO => transfer::sendto(fd, b as *const u8, c, flags, e as *const u8, f as u32),
            nr::RECVMSG => transfer::recvmsg(fd, b as *mut _, c as i32),
            nr::SENDMSG => transfer::sendmsg(fd, b as *const _, c as i32),
            nr::SENDFILE => transfer::sendfile(fd, b as i32, c as *mut i64, d),
            nr::SPLICE => transfer::splice(fd, b as *mut i64, c as i32, d as *mut i64, e, f as u32),
            _ => return None,
        }
    };
    Some(answer as i64)
}

unsafe fn descriptor_call(number: usize, [a, b, c, d, e, _]: [usize; 6]) -> Option<i64> {
    let fd = a as i32;
    // SAFETY: the caller's arguments, in the order of the functions of these names.
    let answer = unsafe {
        match number {
            nr::SHUTDOWN => descriptors::shutdown(fd, b as i32),
            nr::FCNTL => descriptors::fcntl(fd, b as i32, c),
            nr::IOCTL => descriptors::ioctl(fd, b, c),
            nr::DUP => descriptors::dup(fd),
            nr::DUP2 => descriptors::dup2(fd, b as i32),
            nr::DUP3 => descriptors::dup3(fd, b as i32, c as i32),
            nr::SETSOCKOPT => {
                descriptors::setsockopt(fd, b as i32, c as i32, d as *const u8, e as u32)
            }
            nr::SENDMMSG | nr::RECVMMSG => {
                leave_to_kernel(fd);
                return None;
            }
            _ => return None,
        }
    };
    Some(i64::from(answer))
}
