//! Datagrams that leave the host: one kernel socket per UDP socket of a guest.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::quota::FLOWS_MAX;
use super::reactor::{Reactor, Token};
use crate::datagram::{Datagram, PAYLOAD_BYTES_MAX};
use crate::shared::Shared;
use crate::stack::Stack;

/// A flow without traffic is closed after this long, as a stateful router would.
const IDLE: Duration = Duration::from_secs(120);
/// Peers of one socket; answers of others are dropped (endpoint-dependent filtering, RFC 4787).
const PEERS_MAX: usize = 64;
/// Datagrams taken per event before others get their turn.
const ROUNDS: usize = 16;

struct Flow {
    guest: Arc<Datagram>,
    socket: OwnedFd,
    peers: BTreeSet<SocketAddr>,
    used: Instant,
}

/// All flows, by the number of the guest's socket.
pub(crate) struct Flows {
    stack: Arc<dyn Stack>,
    by_datagram: HashMap<u64, Flow>,
    scratch: Vec<u8>,
    swept: Instant,
}

impl Flows {
    pub fn new(stack: Arc<dyn Stack>) -> Self {
        Self {
            stack,
            by_datagram: HashMap::new(),
            scratch: vec![0; PAYLOAD_BYTES_MAX],
            swept: Instant::now(),
        }
    }

    /// Sends a datagram; what cannot be sent is lost, as UDP may lose it.
    pub fn send(
        &mut self,
        sandbox: &Shared,
        guest: &Arc<Datagram>,
        to: SocketAddr,
        bytes: &[u8],
        reactor: &Reactor,
    ) {
        if guest.is_closed() {
            return;
        }
        if !self.by_datagram.contains_key(&guest.id) {
            let open = self
                .by_datagram
                .values()
                .filter(|flow| flow.guest.owner == guest.owner)
                .count();
            if open >= FLOWS_MAX || self.open(guest, to, reactor).is_err() {
                sandbox.tally.denied.add();
                return;
            }
        }
        let Some(flow) = self.by_datagram.get_mut(&guest.id) else {
            return;
        };
        if flow.peers.len() >= PEERS_MAX && !flow.peers.contains(&to) {
            flow.peers.clear();
        }
        flow.peers.insert(to);
        flow.used = Instant::now();
        let _ = rustix::net::sendto(
            &flow.socket,
            bytes,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            &to,
        );
    }

    fn open(
        &mut self,
        guest: &Arc<Datagram>,
        to: SocketAddr,
        reactor: &Reactor,
    ) -> Result<(), Errno> {
        let socket = self.stack.datagram(to)?;
        reactor.add(&socket, Token::Flow(guest.id), EventFlags::IN)?;
        let flow = Flow {
            guest: Arc::clone(guest),
            socket,
            peers: BTreeSet::new(),
            used: Instant::now(),
        };
        self.by_datagram.insert(guest.id, flow);
        Ok(())
    }

    /// Datagrams arrived.
    pub fn ready(&mut self, datagram: u64) {
        let Some(flow) = self.by_datagram.get_mut(&datagram) else {
            return;
        };
        for _ in 0..ROUNDS {
            match rustix::net::recvfrom(
                flow.socket.as_fd(),
                &mut self.scratch[..],
                RecvFlags::DONTWAIT,
            ) {
                Ok((got, _, sender)) => {
                    let Some(sender) = sender.and_then(|sender| SocketAddr::try_from(sender).ok())
                    else {
                        continue;
                    };
                    flow.used = Instant::now();
                    if flow.peers.contains(&sender) {
                        flow.guest.deliver(sender, &self.scratch[..got]);
                    }
                }
                // An ICMP error of an earlier datagram; taken by having been told.
                Err(Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH) => {}
                Err(_) => return,
            }
        }
    }

    pub fn is_busy(&self) -> bool {
        !self.by_datagram.is_empty()
    }

    /// Closes what was idle for long.
    pub fn tick(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.by_datagram.retain(|_, flow| {
                now.saturating_duration_since(flow.used) < IDLE && !flow.guest.is_closed()
            });
        }
    }

    pub fn close(&mut self, datagram: u64) {
        self.by_datagram.remove(&datagram);
    }

    pub fn forget(&mut self, owner: u64) {
        self.by_datagram.retain(|_, flow| flow.guest.owner != owner);
    }
}
