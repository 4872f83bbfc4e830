//! `ioctl(2)` numbers 0x89xx (netdevice(7)): on an injected socket they would act on the socket's own
//! namespace, so they are answered here, for every socket, and never continued: the descriptor could
//! be swapped for an injected one in between, and `SIOCGSKNS` would hand its namespace out.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use jd_wire::sockaddr;
use rustix::io::Errno;

use crate::call::{Notification, Reply, DONE};
use crate::sandbox::Sandbox;
use crate::sys::socket;

const SIOCATMARK: u32 = 0x8905;
const SIOCGSTAMP: u32 = 0x8906;
const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFDSTADDR: u32 = 0x8917;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMETRIC: u32 = 0x891d;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFTXQLEN: u32 = 0x8942;

/// Getters above this one and all setters change devices, routes or tables.
const SETTERS: &[u32] = &[
    0x8914, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e, 0x8920, 0x8922, 0x8923, 0x8924, 0x8925, 0x890b,
    0x890c, 0x8936, 0x8937, 0x8943, 0x8946, 0x8953, 0x8955, 0x894c,
];

/// `struct ifreq`: a name of 16 bytes and a union of 24.
const REQUEST_BYTES: usize = 40;
const NAME_BYTES: usize = 16;
const LOOPBACK_INDEX: i32 = 1;
const LOOPBACK_MTU: i32 = 65_536;
/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING`.
const LOOPBACK_FLAGS: i16 = 0x49;
/// `ARPHRD_LOOPBACK`.
const LOOPBACK_HARDWARE: u16 = 772;

impl Sandbox {
    pub(crate) fn on_ioctl(&mut self, call: &Notification) -> Reply {
        let copy = self.copy(call, call.int(0))?;
        // Neither files nor pipes know these numbers.
        socket::int_option(copy.as_fd(), libc::SO_DOMAIN).map_err(|_| Errno::NOTTY)?;
        let command = u32::from_ne_bytes(call.int(1).to_ne_bytes());
        let at = call.args[2];
        match command {
            SIOCATMARK => self.write(call, at, &0_i32.to_ne_bytes())?,
            SIOCGSTAMP => return Err(Errno::NOENT),
            SIOCGIFCONF => self.list_interfaces(call, at)?,
            _ if SETTERS.contains(&command) => return Err(Errno::PERM),
            _ => {
                let request = self.read(call, at, REQUEST_BYTES)?;
                let answer = answer(command, &request)?;
                self.write(call, at, &answer)?;
            }
        }
        DONE
    }

    /// `SIOCGIFCONF`: the loopback with its own and the sandbox's address.
    fn list_interfaces(&self, call: &Notification, at: u64) -> Result<(), Errno> {
        let head = self.read(call, at, 16)?;
        let room = head
            .first_chunk::<4>()
            .map_or(0, |word| i32::from_ne_bytes(*word));
        let buffer = head
            .last_chunk::<8>()
            .map_or(0, |word| u64::from_ne_bytes(*word));
        let rows = [Ipv4Addr::LOCALHOST, self.shared.address].map(|ip| {
            let mut row = named();
            row[NAME_BYTES..NAME_BYTES + 16].copy_from_slice(&address(ip));
            row
        });
        let mut listing = rows.concat();
        if buffer != 0 {
            let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
            listing.truncate(room / REQUEST_BYTES * REQUEST_BYTES);
            self.write(call, buffer, &listing)?;
        }
        let length = i32::try_from(listing.len()).map_err(|_| Errno::INVAL)?;
        self.write(call, at, &length.to_ne_bytes())
    }
}

/// A request about the loopback, the only interface there is.
fn named() -> Vec<u8> {
    let mut request = vec![0; REQUEST_BYTES];
    request[..2].copy_from_slice(b"lo");
    request
}

fn address(ip: Ipv4Addr) -> Vec<u8> {
    sockaddr::encode((ip, 0).into(), false)
}

/// The answer to a request that names one interface.
pub(crate) fn answer(command: u32, request: &[u8]) -> Result<Vec<u8>, Errno> {
    let (name, value) = request.split_at_checked(NAME_BYTES).ok_or(Errno::FAULT)?;
    if command == SIOCGIFNAME {
        let index = value
            .first_chunk::<4>()
            .map_or(0, |word| i32::from_ne_bytes(*word));
        let mut answer = named();
        answer[NAME_BYTES..NAME_BYTES + 4].copy_from_slice(&index.to_ne_bytes());
        return if index == LOOPBACK_INDEX {
            Ok(answer)
        } else {
            Err(Errno::NODEV)
        };
    }
    let value: Vec<u8> = match command {
        SIOCGIFFLAGS => LOOPBACK_FLAGS.to_ne_bytes().to_vec(),
        SIOCGIFADDR | SIOCGIFDSTADDR => address(Ipv4Addr::LOCALHOST),
        SIOCGIFBRDADDR => address(Ipv4Addr::UNSPECIFIED),
        SIOCGIFNETMASK => address(Ipv4Addr::new(255, 0, 0, 0)),
        SIOCGIFMETRIC => 0_i32.to_ne_bytes().to_vec(),
        SIOCGIFMTU => LOOPBACK_MTU.to_ne_bytes().to_vec(),
        SIOCGIFHWADDR => LOOPBACK_HARDWARE.to_ne_bytes().to_vec(),
        SIOCGIFINDEX => LOOPBACK_INDEX.to_ne_bytes().to_vec(),
        SIOCGIFTXQLEN => 1000_i32.to_ne_bytes().to_vec(),
        _ => return Err(Errno::NOTTY),
    };
    if name.split(|byte| *byte == 0).next() != Some(b"lo") {
        return Err(Errno::NODEV);
    }
    let mut answer = named();
    answer[NAME_BYTES..NAME_BYTES + value.len()].copy_from_slice(&value);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_known() {
        let mut request = named();
        let flags = answer(SIOCGIFFLAGS, &request).unwrap();
        assert_eq!(flags[NAME_BYTES..NAME_BYTES + 2], [0x49, 0]);
        assert_eq!(answer(SIOCGIFINDEX, &request).unwrap()[NAME_BYTES], 1);
        assert_eq!(answer(0x8990, &request), Err(Errno::NOTTY));
        request[..4].copy_from_slice(b"eth0");
        assert_eq!(answer(SIOCGIFFLAGS, &request), Err(Errno::NODEV));
        request[NAME_BYTES] = 1;
        assert_eq!(answer(SIOCGIFNAME, &request).unwrap()[..3], *b"lo\0");
        request[NAME_BYTES] = 2;
        assert_eq!(answer(SIOCGIFNAME, &request), Err(Errno::NODEV));
    }
}
