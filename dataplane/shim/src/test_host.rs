//! Test builds only: asks a process that plays jnetd, over a socket of its own, instead of jnetd over getsockopt.
//!
//! A question is one packet: option and value, with the connection's descriptor beside it. The answer is one packet: the
//! call's answer and value, with a descriptor beside it where the option has one.

use core::ffi::CStr;

use crate::sys::{self, errno, number as nr, IoVec, MsgHdr};
use crate::syscall;

unsafe extern "C" {
    static environ: *const *const core::ffi::c_char;
}

const NAME: &[u8] = b"JSHIM_TEST_HOST=";
const NO_ANSWER: isize = -92;
const VALUE_BYTES: usize = 16;

#[repr(C, align(8))]
struct Ancillary {
    len: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

#[repr(C)]
struct Packet {
    number: i32,
    value: [u8; VALUE_BYTES],
}

/// The rest of the environment's entry that begins so.
pub fn variable(prefix: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: the program's environment: pointers to C strings, ended by null.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if let Some(name) = text.strip_prefix(prefix) {
                return Some(name);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// As getsockopt at [`jd_ring::abi::SOL_RING`].
pub(crate) fn ask(fd: i32, option: i32, value: *mut u8, len: u32) -> isize {
    let Some(name) = variable(NAME) else {
        return NO_ANSWER;
    };
    let mut address = [0_u8; 110];
    address[0] = 1;
    let len_used = 3 + name.len();
    if len_used > address.len() {
        return NO_ANSWER;
    }
    address[3..len_used].copy_from_slice(name);
    // SAFETY: numbers and our own buffers. 1: AF_UNIX, 5: SOCK_SEQPACKET.
    unsafe {
        let socket = syscall!(nr::SOCKET, 1, 5 | sys::CLOEXEC, 0);
        if sys::failed(socket) {
            return socket;
        }
        let answer = if syscall!(nr::CONNECT, socket, address.as_ptr(), len_used) == 0 {
            converse(socket as i32, fd, option, value, len as usize)
        } else {
            NO_ANSWER
        };
        sys::close(socket as i32);
        answer
    }
}

unsafe fn converse(socket: i32, fd: i32, option: i32, value: *mut u8, len: usize) -> isize {
    let mut packet = Packet {
        number: option,
        value: [0; VALUE_BYTES],
    };
    let len = len.min(VALUE_BYTES);
    // SAFETY: the caller's `len` bytes.
    packet.value[..len].copy_from_slice(unsafe { core::slice::from_raw_parts(value, len) });
    let mut beside = Ancillary {
        len: 20,
        level: 1,
        kind: 1,
        fd,
        padding: 0,
    };
    let mut piece = IoVec {
        base: (&raw mut packet).cast(),
        len: size_of::<Packet>(),
    };
    let mut message = MsgHdr {
        name: core::ptr::null_mut(),
        name_len: 0,
        iov: &raw mut piece,
        iov_len: 1,
        iov_len_high: 0,
        control: (&raw mut beside).cast(),
        control_len: 24,
        control_len_high: 0,
        flags: 0,
    };
    // SAFETY: everything named lives here.
    unsafe {
        if sys::failed(syscall!(nr::SENDMSG, socket, &raw mut message, 0)) {
            return NO_ANSWER;
        }
        beside.fd = -1;
        beside.len = 0;
        message.control_len = 24;
        let got = syscall!(
            nr::RECVMSG,
            socket,
            &raw mut message,
            sys::msg::CMSG_CLOEXEC
        );
        if got != size_of::<Packet>() as isize {
            return -(errno::EAGAIN as isize);
        }
        value.copy_from_nonoverlapping(packet.value.as_ptr(), len);
    }
    if packet.number == 0 && beside.len >= 20 {
        return beside.fd as isize;
    }
    packet.number as isize
}
