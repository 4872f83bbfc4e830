//! Connections to replicas and to the provider: taken from the idle ones or opened, given back, closed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{connect, socket_with, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use jd_link::Owner;

use crate::config::ns;
use crate::conn::Conn;
use crate::holder::Holder;
use crate::poll::Token;
use crate::slab::Key;
use crate::table::Replica;
use crate::up::{Home, Up};
use crate::worker::Worker;

impl Worker {
    /// A connection to a replica: the idle one used last, whose memory and peer are warm, or a new one.
    pub fn connection_to(&mut self, replica: &Arc<Replica>) -> io::Result<Key> {
        while let Some(key) = self.pools.get_mut(&replica.id).and_then(Vec::pop) {
            if self.ups.get(key).is_some() {
                return Ok(key);
            }
        }
        self.new_connection_to(replica)
    }

    /// A new connection to a replica.
    pub fn new_connection_to(&mut self, replica: &Arc<Replica>) -> io::Result<Key> {
        let holder = Holder::new(&self.shared, self.index);
        let owner: Arc<dyn Owner> = Arc::clone(&holder) as Arc<dyn Owner>;
        let dialer = &self.shared.dialer;
        let socket = dialer.dial(&replica.sandbox, replica.port, Some(&owner))?;
        replica.reached();
        let home = Home::Replica(Arc::clone(replica));
        self.add_up(socket, home, Some(holder))
    }

    /// A connection to the provider; `None`: all that may be open are in use.
    pub fn connection_to_provider(&mut self) -> io::Result<Option<Key>> {
        while let Some(key) = self.provider_idle.pop() {
            if self.ups.get(key).is_some() {
                return Ok(Some(key));
            }
        }
        self.new_connection_to_provider()
    }

    /// A new connection to the provider; `None`: all that may be open are in use.
    pub fn new_connection_to_provider(&mut self) -> io::Result<Option<Key>> {
        if self.provider_open >= self.shared.limits.provider_connections_max {
            return Ok(None);
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&socket, &SocketAddrUnix::new(&self.shared.provider_socket)?) {
            Ok(()) => {}
            // Its backlog is full.
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let key = self.add_up(socket, Home::Provider, None)?;
        self.provider_open += 1;
        Ok(Some(key))
    }

    fn add_up(
        &mut self,
        socket: OwnedFd,
        home: Home,
        holder: Option<Arc<Holder>>,
    ) -> io::Result<Key> {
        let (io, timers) = (&self.io, &mut self.timers);
        self.ups.try_insert_with(|key| {
            let token = Token::Up(key);
            // Nothing can have come yet; if something did, epoll tells.
            let mut conn = Conn::new(socket, token, false, io)?;
            if let Some(holder) = &holder {
                conn.toll = holder.toll();
                holder.holds(key);
            }
            Ok(Up {
                conn,
                home,
                holder,
                owner: None,
                reused: false,
                wrote: false,
                replayable: false,
                keep_alive: false,
                timer: timers.add(token.pack()),
                idle_until_ns: 0,
            })
        })
    }

    /// Puts a connection aside for the next request to the same place, or closes it.
    pub fn give_back_up(&mut self, key: Key) {
        let idle_max = self.shared.limits.idle_per_replica_max;
        let Some(up) = self.ups.get_mut(key) else {
            return;
        };
        let idle = match &up.home {
            Home::Replica(replica) => self.pools.entry(replica.id).or_default(),
            Home::Provider => &mut self.provider_idle,
        };
        if !up.is_reusable() || idle.len() >= idle_max || self.stopping.is_some() {
            return self.close_up(key);
        }
        idle.push(key);
        up.conn.count_ring();
        up.owner = None;
        up.reused = true;
        up.conn.release(&mut self.io);
        up.idle_until_ns = self.io.now_ns + ns(self.shared.timeouts.upstream_idle);
        self.timers.arm(up.timer, up.idle_until_ns);
    }

    /// Closes a connection.
    pub fn close_up(&mut self, key: Key) {
        let Some(mut up) = self.ups.remove(key) else {
            return;
        };
        self.timers.remove(up.timer);
        up.conn.received.clear();
        up.conn.unsent.clear();
        up.conn.release(&mut self.io);
        if let Some((post, slot)) = up.conn.ring_place() {
            self.bells.remove(post, slot, &self.io.poll);
        }
        match &up.home {
            Home::Provider => {
                self.provider_open -= 1;
                self.provider_idle.retain(|&idle| idle != key);
            }
            Home::Replica(replica) => {
                if let Some(idle) = self.pools.get_mut(&replica.id) {
                    idle.retain(|&idle| idle != key);
                    if idle.is_empty() {
                        self.pools.remove(&replica.id);
                    }
                }
            }
        }
    }

    /// Closes the idle connections to replicas that get nothing new.
    pub fn close_drained(&mut self) {
        let all: Vec<Key> = self.pools.values().flatten().copied().collect();
        for key in all {
            let Some(up) = self.ups.get(key) else {
                continue;
            };
            if matches!(&up.home, Home::Replica(replica) if replica.is_draining()) {
                self.close_up(key);
            }
        }
    }

    /// An idle connection's time may be over.
    pub fn expire_up(&mut self, key: Key) {
        let Some(up) = self.ups.get(key) else { return };
        if up.owner.is_some() {
            return;
        }
        if up.idle_until_ns <= self.io.now_ns {
            self.close_up(key);
        } else {
            self.timers.arm(up.timer, up.idle_until_ns);
        }
    }
}
