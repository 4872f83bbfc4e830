//! A UDP socket of a guest: one end of a `SOCK_SEQPACKET` pair whose other end is ours.
//!
//! Sequenced packets keep the borders of messages, ignore a destination given natively, and tell when
//! the guest closes. What the guest sends natively has no address and goes where it connected to.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::socket;

/// Longest payload of UDP over IPv4.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 65_507;
/// Datagrams whose senders are remembered until the guest takes them.
const ARRIVED_MAX: usize = 512;

/// The supervisor's half of a UDP socket.
pub(crate) struct Datagram {
    /// Names it among all of all sandboxes.
    pub id: u64,
    /// Sandbox that it belongs to.
    pub owner: u64,
    pub end: OwnedFd,
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connected: Option<SocketAddr>,
    local: Option<SocketAddr>,
    arrived: VecDeque<Arrived>,
}

/// The sender of a datagram that lies in the guest's queue. The guest may take datagrams natively,
/// past us, so each is recognised by what it holds.
struct Arrived {
    digest: u64,
    sender: SocketAddr,
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Datagram {
    pub fn new(id: u64, owner: u64, end: OwnedFd) -> Self {
        Self {
            id,
            owner,
            end,
            closed: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the guest connected it to.
    pub fn connected(&self) -> Option<SocketAddr> {
        self.state().connected
    }

    /// Connects it, or dissolves the association.
    pub fn set_connected(&self, to: Option<SocketAddr>) {
        self.state().connected = to;
    }

    /// Its own address, once it has one.
    pub fn local(&self) -> Option<SocketAddr> {
        self.state().local
    }

    /// Gives it an address.
    pub fn set_local(&self, local: SocketAddr) {
        self.state().local = Some(local);
    }

    /// Whether the guest closed it.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Notes that the guest closed it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Puts a datagram into the guest's queue. A full queue drops it, as UDP does; a connected
    /// socket takes from its peer only.
    pub fn deliver(&self, sender: SocketAddr, bytes: &[u8]) {
        let mut state = self.state();
        if state.connected.is_some_and(|peer| peer != sender) {
            return;
        }
        if socket::send(self.end.as_fd(), bytes, 0).is_ok() {
            if state.arrived.len() >= ARRIVED_MAX {
                state.arrived.pop_front();
            }
            state.arrived.push_back(Arrived {
                digest: digest(bytes),
                sender,
            });
        }
    }

    /// The sender of a datagram that the guest took; `peek`: it stays in the queue. `whole`: all of
    /// it was read, so that it can be recognised.
    pub fn sender(&self, bytes: &[u8], whole: bool, peek: bool) -> Option<SocketAddr> {
        let mut state = self.state();
        let wanted = digest(bytes);
        let at = if whole {
            state
                .arrived
                .iter()
                .position(|arrived| arrived.digest == wanted)
        } else {
            Some(0)
        };
        let at = at.filter(|at| *at < state.arrived.len())?;
        let sender = state.arrived[at].sender;
        if !peek {
            state.arrived.drain(..=at);
        }
        Some(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn pair() -> (OwnedFd, Datagram) {
        let (guest, end) = socket::unix_pair(libc::SOCK_SEQPACKET).unwrap();
        (guest, Datagram::new(1, 1, end))
    }

    fn take(guest: &OwnedFd) -> Vec<u8> {
        let mut bytes = [0; 64];
        let got = socket::receive(guest.as_fd(), &mut bytes, 0).unwrap();
        bytes[..got].to_vec()
    }

    #[test]
    fn senders_are_known_even_past_native_reads() {
        let (guest, datagram) = pair();
        for (sender, text) in [
            ("1.1.1.1:1", "one"),
            ("2.2.2.2:2", "two"),
            ("3.3.3.3:3", "three"),
        ] {
            datagram.deliver(address(sender), text.as_bytes());
        }
        assert_eq!(take(&guest), b"one");
        let two = take(&guest);
        assert_eq!(
            datagram.sender(&two, true, true),
            Some(address("2.2.2.2:2"))
        );
        assert_eq!(
            datagram.sender(&two, true, false),
            Some(address("2.2.2.2:2"))
        );
        assert_eq!(
            datagram.sender(&take(&guest), true, false),
            Some(address("3.3.3.3:3"))
        );
        assert_eq!(datagram.sender(b"three", true, false), None);
    }

    #[test]
    fn a_connected_socket_takes_from_its_peer_only() {
        let (guest, datagram) = pair();
        datagram.set_connected(Some(address("1.1.1.1:53")));
        datagram.deliver(address("6.6.6.6:53"), b"forged");
        datagram.deliver(address("1.1.1.1:53"), b"right");
        assert_eq!(take(&guest), b"right");
    }

    #[test]
    fn a_full_queue_drops() {
        let (_guest, datagram) = pair();
        for _ in 0..5000 {
            datagram.deliver(address("1.1.1.1:1"), &[0; 1000]);
        }
        assert!(datagram.state().arrived.len() <= ARRIVED_MAX);
    }
}
