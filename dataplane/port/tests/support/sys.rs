//! The unsafe edge of the tests: a guest process with namespaces and the notify filter.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::filter::Instruction;

/// A fresh network namespace, held by its descriptor only.
pub fn new_netns() -> OwnedFd {
    std::thread::spawn(|| {
        // SAFETY: changes only this thread, which ends right after.
        assert_eq!(
            // SAFETY: changes only this thread, which ends right after.
            unsafe { libc::unshare(libc::CLONE_NEWNET) },
            0,
            "the tests need root"
        );
        File::open("/proc/thread-self/ns/net")
            .expect("proc is mounted")
            .into()
    })
    .join()
    .expect("the thread ends")
}

/// A journal as a keeper makes it.
pub fn journal() -> OwnedFd {
    // SAFETY: a constant name; a new descriptor comes back.
    let fd = unsafe { libc::memfd_create(c"journal".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: the kernel just made it for us.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(4096).expect("a memory file grows");
    file.into()
}

/// How a guest is started.
#[derive(Clone, Copy)]
pub struct Start {
    /// Its address, given to its loopback.
    pub address: Ipv4Addr,
    /// User to become.
    pub uid: Option<u32>,
}

#[repr(C)]
struct Program {
    length: libc::c_ushort,
    instructions: *const Instruction,
}

fn ok(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn interface_request() -> libc::ifreq {
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request
}

fn loopback(address: Ipv4Addr) -> io::Result<()> {
    // SAFETY: plain numbers.
    let socket = ok(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) })?;
    let mut request = interface_request();
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is live and laid out by libc.
    ok(unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &raw mut request) })?;
    let mut request = interface_request();
    request.ifr_name[2] = b':' as libc::c_char;
    request.ifr_name[3] = b'1' as libc::c_char;
    let octets = address.octets();
    let bytes = [2, 0, 0, 0, octets[0], octets[1], octets[2], octets[3]];
    for (to, from) in std::iter::zip(0..8, bytes) {
        // SAFETY: writes the first eight bytes of the request's address member.
        unsafe { (&raw mut request.ifr_ifru).cast::<u8>().add(to).write(from) };
    }
    // SAFETY: as above.
    ok(unsafe { libc::ioctl(socket, libc::SIOCSIFADDR as _, &raw mut request) })?;
    // SAFETY: the descriptor is ours.
    ok(unsafe { libc::close(socket) })?;
    Ok(())
}

fn install(program: &[Instruction]) -> io::Result<RawFd> {
    const NEW_LISTENER: libc::c_ulong = 1 << 3;
    const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;
    // SAFETY: plain numbers.
    ok(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    let program = Program {
        length: program.len() as libc::c_ushort,
        instructions: program.as_ptr(),
    };
    let flags = NEW_LISTENER | WAIT_KILLABLE_RECV;
    // SAFETY: the program lives across the call and has the kernel's layout.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    ok(fd as libc::c_int)
}

/// Tells who we are and which descriptor to take, and waits until it was taken. Plain reads and
/// writes: the filter is in place already, and nobody answers notifications yet.
fn offer(pipe: RawFd, fd: RawFd) -> io::Result<()> {
    // SAFETY: plain call.
    let words = [unsafe { libc::getpid() }, fd];
    let mut byte = 0_u8;
    // SAFETY: the pointers and lengths span live locals.
    unsafe {
        ok(libc::write(pipe, words.as_ptr().cast(), 8) as libc::c_int)?;
        ok(libc::read(pipe, (&raw mut byte).cast(), 1) as libc::c_int)?;
    }
    Ok(())
}

/// Takes the descriptor that a child offers.
fn take(mut pipe: UnixStream) -> io::Result<OwnedFd> {
    let mut words = [0; 8];
    pipe.read_exact(&mut words)?;
    let word =
        |at: usize| i32::from_ne_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
    let pidfd = pidfd(word(0) as u32);
    // SAFETY: plain numbers in, a new descriptor or an error out.
    let fd = ok(
        unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), word(4), 0) }
            as libc::c_int,
    )?;
    pipe.write_all(b"x")?;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts `command` in an empty network namespace behind the notify filter.
pub fn spawn(
    command: &mut Command,
    start: Start,
    program: Vec<Instruction>,
) -> io::Result<(std::process::Child, OwnedFd)> {
    let (here, there) = UnixStream::pair()?;
    let pipe = there.as_raw_fd();
    let prepare = move || {
        // SAFETY: plain numbers.
        ok(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
        loopback(start.address)?;
        if let Some(uid) = start.uid {
            // SAFETY: plain numbers and a null list of length 0.
            unsafe {
                ok(libc::setgroups(0, std::ptr::null()))?;
                ok(libc::setgid(uid))?;
                ok(libc::setuid(uid))?;
            }
        }
        let notify = install(&program)?;
        offer(pipe, notify)?;
        // SAFETY: the descriptor is ours; the guest must not have it.
        ok(unsafe { libc::close(notify) })?;
        Ok(())
    };
    // SAFETY: the closure makes system calls only; it neither allocates nor locks.
    unsafe { command.pre_exec(prepare) };
    // Spawning returns after the exec, which waits for the descriptor to be taken.
    let taker = std::thread::spawn(move || take(here));
    let child = command.spawn();
    drop(there);
    let notify = taker.join().expect("the taker ends");
    Ok((child?, notify?))
}

/// A descriptor of a process.
pub fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: plain numbers in, a new descriptor out.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel just made it for us.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// Sends a signal.
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::kill(pid as libc::pid_t, signal) }, 0);
}

/// Moves the calling thread into a network of its own with `address` on its loopback, standing in
/// for the host and everything around it.
pub fn own_network(address: Ipv4Addr) {
    // SAFETY: changes only this thread.
    assert_eq!(
        // SAFETY: changes only this thread.
        unsafe { libc::unshare(libc::CLONE_NEWNET) },
        0,
        "the tests need root"
    );
    loopback(address).expect("the loopback takes an address");
}

/// Lets `command` run in an empty network namespace of the kernel's own, with `address` on its
/// loopback: what the supervisor is compared with.
pub fn on_kernel_tcp(command: &mut Command, address: Ipv4Addr) {
    let prepare = move || {
        // SAFETY: plain numbers.
        ok(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
        loopback(address)
    };
    // SAFETY: the closure makes system calls only; it neither allocates nor locks.
    unsafe { command.pre_exec(prepare) };
}
