//! The loopback interface of an empty network namespace (`netdevice(7)`, `rtnetlink(7)`).

use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::checked;

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: plain integers in, a descriptor out.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) };
    checked(libc::c_long::from(fd))?;
    // SAFETY: the kernel has just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Brings `lo` up; the kernel gives it 127.0.0.1/8 and ::1.
///
/// # Errors
/// Those of `SIOCSIFFLAGS`.
pub fn bring_loopback_up() -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM)?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip([108, 111]) {
        *place = byte; // "lo"
    }
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).map_err(io::Error::other)?;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            socket.as_fd().as_raw_fd(),
            libc::SIOCSIFFLAGS,
            std::ptr::from_ref(&request),
        )
    };
    checked(libc::c_long::from(result)).map(|_| ())
}

/// `RTM_NEWADDR` or `RTM_DELADDR` with one IPv4 address.
#[repr(C)]
struct AddressMessage {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u8,
    prefix_bits: u8,
    address_flags: u8,
    scope: u8,
    index: u32,
    local_header: [u16; 2],
    local: [u8; 4],
    address_header: [u16; 2],
    address: [u8; 4],
}

/// Gives `lo` (always index 1 of a namespace) one more address, as /32.
///
/// # Errors
/// What the kernel answers on the netlink socket.
pub fn add_loopback_address(address: Ipv4Addr) -> io::Result<()> {
    const CREATE: u16 = 0x400;
    change(libc::RTM_NEWADDR, CREATE, address)
}

/// Takes an address that [`add_loopback_address`] gave away again.
///
/// # Errors
/// What the kernel answers on the netlink socket.
pub fn remove_loopback_address(address: Ipv4Addr) -> io::Result<()> {
    change(libc::RTM_DELADDR, 0, address)
}

fn change(kind: u16, flags: u16, address: Ipv4Addr) -> io::Result<()> {
    const REQUEST_ACK: u16 = 0x1 | 0x4;
    let message = AddressMessage {
        length: u32::try_from(mem::size_of::<AddressMessage>()).map_err(io::Error::other)?,
        kind,
        flags: REQUEST_ACK | flags,
        sequence: 1,
        port: 0,
        family: 2, // AF_INET
        prefix_bits: 32,
        address_flags: 0,
        scope: 0,
        index: 1,
        local_header: [8, libc::IFA_LOCAL],
        local: address.octets(),
        address_header: [8, libc::IFA_ADDRESS],
        address: address.octets(),
    };
    let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW)?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the message is plain old data of the given length; an unbound netlink socket sends to the kernel.
    let sent = unsafe {
        libc::send(
            fd,
            std::ptr::from_ref(&message).cast(),
            mem::size_of_val(&message),
            0,
        )
    };
    checked(sent as libc::c_long)?;
    let mut answer = [0_u8; 256];
    // SAFETY: the kernel writes at most the buffer's length.
    let received = unsafe { libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), 0) };
    checked(received as libc::c_long)?;
    // struct nlmsghdr is 16 bytes, then comes struct nlmsgerr with the negated errno.
    let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if error == 0 {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(-error))
}
