//! `getsockopt(2)` by allow-lists: read back, answered by a constant, or refused.

use std::os::fd::AsFd;

use jd_ring::abi;
use rustix::io::Errno;

use crate::call::{Notification, Outcome, Reply, DONE};
use crate::mark::Mark;
use crate::pending::Progress;
use crate::sandbox::{Descriptor, Sandbox, Subject};
use crate::sockets::option_tables::{APPLIED, IGNORED, IGNORED_TCP, IP, IPV6, VALUE_BYTES_MAX};
use crate::sys::socket;

/// Longest value of an option that is given: `struct tcp_info` is the longest.
const ANSWER_BYTES_MAX: usize = 256;

/// States of TCP as `struct tcp_info` tells them.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const CLOSED: u8 = 7;
const LISTEN: u8 = 10;
/// Length of `struct tcp_info` as every reader knows it.
const TCP_INFO_BYTES: usize = 104;

impl Sandbox {
    pub(crate) fn on_getsockopt(&mut self, call: &Notification) -> Reply {
        let subject = match self.identify(call, call.int(0))? {
            Descriptor::Injected(subject) => subject,
            Descriptor::Foreign => return Ok(Outcome::Native),
        };
        if call.int(1) == abi::SOL_RING {
            return self.ring_option(call, subject);
        }
        let room = self.room(call, call.args[4])?;
        let (level, name) = (call.int(1), call.int(2));
        let value = match level {
            libc::SOL_SOCKET => self.socket_option(&subject, name)?,
            libc::IPPROTO_TCP if subject.is_datagram() => return Err(Errno::OPNOTSUPP),
            libc::IPPROTO_TCP => self.tcp_option(&subject, name)?,
            libc::IPPROTO_IP => constant(IP, name)?,
            libc::IPPROTO_IPV6 => self.ipv6_option(&subject, name)?,
            _ => return Err(Errno::OPNOTSUPP),
        };
        let given = room.min(value.len());
        let length = u32::try_from(given).map_err(|_| Errno::INVAL)?;
        let value = (call.args[3], &value[..given]);
        self.write_both(call, value, (call.args[4], &length.to_ne_bytes()))?;
        DONE
    }

    fn socket_option(&mut self, subject: &Subject, name: i32) -> Result<Vec<u8>, Errno> {
        let mark = self.shown(subject)?;
        let choose = |datagram, stream| if mark.datagram { datagram } else { stream };
        Ok(match name {
            libc::SO_TYPE => int(choose(libc::SOCK_DGRAM, libc::SOCK_STREAM)),
            libc::SO_PROTOCOL => int(choose(libc::IPPROTO_UDP, libc::IPPROTO_TCP)),
            libc::SO_DOMAIN => int(if mark.v6 {
                libc::AF_INET6
            } else {
                libc::AF_INET
            }),
            libc::SO_ERROR => int(self.socket_error(subject)?),
            libc::SO_REUSEPORT => int(i32::from(mark.reuse_port)),
            // What an internet socket answers: nobody.
            libc::SO_PEERCRED => [int(0), int(-1), int(-1)].concat(),
            libc::SO_BINDTODEVICE => Vec::new(),
            libc::SO_COOKIE => subject.cookie()?.to_ne_bytes().to_vec(),
            libc::SO_MARK => int(0),
            name if APPLIED.contains(&name) || name == libc::SO_ACCEPTCONN => {
                let mut value = vec![0; VALUE_BYTES_MAX];
                let length =
                    socket::option(subject.fd.as_fd(), libc::SOL_SOCKET, name, &mut value)?;
                value.truncate(length);
                value
            }
            name if IGNORED.contains(&name) => int(0),
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    /// The error that waits on a socket, taken by having been told.
    fn socket_error(&self, subject: &Subject) -> Result<i32, Errno> {
        match self.progress(subject) {
            Some(Progress::Connecting) => Ok(0),
            Some(Progress::Failed(error)) => {
                self.shared.pending.take_failure(subject.cookie()?);
                // The reset with which the failure was made visible.
                let _ = socket::int_option(subject.fd.as_fd(), libc::SO_ERROR);
                Ok(error.raw_os_error())
            }
            None => socket::int_option(subject.fd.as_fd(), libc::SO_ERROR),
        }
    }

    /// The mark of a socket; an accepted one takes after its listener.
    fn shown(&self, subject: &Subject) -> Result<Mark, Errno> {
        match subject.mark {
            Some(mark) => Ok(mark),
            None => Ok(Mark {
                v6: self.ends(subject)?.v6,
                ..Mark::default()
            }),
        }
    }

    fn tcp_option(&self, subject: &Subject, name: i32) -> Result<Vec<u8>, Errno> {
        Ok(match name {
            libc::TCP_INFO => {
                let listens = socket::int_option(subject.fd.as_fd(), libc::SO_ACCEPTCONN)? != 0;
                let connected = self.is_connected(subject);
                let mut info = vec![0; TCP_INFO_BYTES];
                let connecting = self.progress(subject) == Some(Progress::Connecting);
                info[0] = match (listens, connected, connecting) {
                    (true, ..) => LISTEN,
                    (_, true, _) => ESTABLISHED,
                    (_, _, true) => SYN_SENT,
                    _ => CLOSED,
                };
                info
            }
            libc::TCP_NODELAY | libc::TCP_QUICKACK => int(1),
            libc::TCP_MAXSEG => int(65_483),
            libc::TCP_KEEPIDLE => int(7200),
            libc::TCP_KEEPINTVL => int(75),
            libc::TCP_KEEPCNT => int(9),
            libc::TCP_SYNCNT => int(6),
            libc::TCP_LINGER2 => int(60),
            libc::TCP_CONGESTION => {
                let mut name = b"cubic".to_vec();
                name.resize(16, 0);
                name
            }
            name if IGNORED_TCP.contains(&name) => int(0),
            _ => return Err(Errno::NOPROTOOPT),
        })
    }

    fn ipv6_option(&self, subject: &Subject, name: i32) -> Result<Vec<u8>, Errno> {
        let mark = self.shown(subject)?;
        if !mark.v6 {
            return Err(Errno::NOPROTOOPT);
        }
        if name == libc::IPV6_V6ONLY {
            return Ok(int(i32::from(mark.v6_only)));
        }
        constant(IPV6, name)
    }
}

fn int(value: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES_MAX / 64);
    bytes.extend_from_slice(&value.to_ne_bytes());
    bytes
}

fn constant(table: &[(i32, i32)], name: i32) -> Result<Vec<u8>, Errno> {
    let row = table.iter().find(|(known, _)| *known == name);
    row.map(|(_, value)| int(*value)).ok_or(Errno::NOPROTOOPT)
}
