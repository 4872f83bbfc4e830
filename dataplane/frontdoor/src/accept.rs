//! Public doors: taking connections in, within bounds.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

use jd_http::HeadScan;
use rustix::io::Errno;
use rustix::net::{acceptfrom_with, sockopt, SocketFlags};

use crate::config::ns;
use crate::conn::Conn;
use crate::crowd::Crowd;
use crate::deadlines::{Deadline, Deadlines};
use crate::down::{Down, Exchange, Phase};
use crate::poll::Token;
use crate::shed::Pace;
use crate::slab::Key;
use crate::worker::Worker;

/// How long a door stays closed after the kernel had no descriptor or memory for a connection: without a
/// pause the door would be readable all the time and the worker would spin.
const PAUSE_NS: u64 = 100_000_000;

/// How long a silent client is believed, and how often it is asked then: one that lost its power never says
/// so, and its invocation would run on.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A public door.
pub struct Listener {
    socket: TcpListener,
    crowd: Crowd,
    /// Not watched until then; [`u64::MAX`]: until a connection ends.
    paused_until_ns: Option<u64>,
}

impl Worker {
    /// Opens a door.
    pub fn add_listener(&mut self, socket: TcpListener) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // Accepted connections inherit these, which saves calls for each.
        sockopt::set_tcp_nodelay(&socket, true)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        sockopt::set_tcp_keepidle(&socket, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(&socket, KEEPALIVE)?;
        let poll = &self.io.poll;
        self.listeners.try_insert_with(|key| {
            poll.add_listener(&socket, Token::Listener(key))?;
            Ok::<_, io::Error>(Listener {
                socket,
                crowd: Crowd::default(),
                paused_until_ns: None,
            })
        })?;
        Ok(())
    }

    /// Whether clients have as many connections, or all buffers as much memory, as they may.
    fn is_full(&self) -> bool {
        self.io.pool.is_exhausted()
            || self.downs.len() - self.guests.total() >= self.shared.limits.connections_max
    }

    /// Serves a guest's connection to the gateway.
    pub fn adopt(&mut self, socket: OwnedFd, peer: SocketAddr) {
        let room = !self.io.pool.is_exhausted();
        if room && self.guests.enter(peer.ip(), &self.shared.limits) {
            self.add_down(socket, peer.to_string(), Some(peer.ip()));
        } else {
            log::debug!("{} has too many connections to the gateway", peer.ip());
        }
    }

    /// Takes connections in.
    pub fn accept(&mut self, key: Key) {
        let asked = self.listeners.get(key).map_or(0, |door| door.crowd.asked());
        let taken = self.take_in(key, asked);
        if let Some(door) = self.listeners.get_mut(key) {
            door.crowd.note(taken);
        }
    }

    /// Takes up to `asked` connections in and says how many there were.
    fn take_in(&mut self, key: Key, asked: usize) -> usize {
        let mut taken = 0;
        while taken < asked {
            if self.is_full() {
                self.pause(key, u64::MAX);
                break;
            }
            let Some(listener) = self.listeners.get(key) else {
                break;
            };
            match acceptfrom_with(
                &listener.socket,
                SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            ) {
                Ok((socket, peer)) => {
                    let peer = peer.and_then(|address| SocketAddr::try_from(address).ok());
                    let peer = peer.map_or_else(String::new, |peer| peer.to_string());
                    self.add_down(socket, peer, None);
                }
                Err(Errno::AGAIN) => break,
                // The client was gone before it was taken in (accept(2)).
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM) => {}
                Err(error) => {
                    log::warn!("cannot take connections in for a moment: {error} (raise the limit of open files?)");
                    self.pause(key, self.io.now_ns + PAUSE_NS);
                    break;
                }
            }
            taken += 1;
        }
        taken
    }

    fn pause(&mut self, key: Key, until_ns: u64) {
        let Some(listener) = self.listeners.get_mut(key) else {
            return;
        };
        if self.io.poll.remove(&listener.socket).is_ok() {
            listener.paused_until_ns = Some(until_ns);
            self.doors_paused = true;
        }
    }

    /// Opens paused doors again where that is possible now.
    pub fn resume_listeners(&mut self) {
        if !self.doors_paused || self.is_full() {
            return;
        }
        self.doors_paused = false;
        for key in self.listeners.keys() {
            let Some(listener) = self.listeners.get_mut(key) else {
                continue;
            };
            let Some(until_ns) = listener.paused_until_ns else {
                continue;
            };
            if until_ns != u64::MAX && until_ns > self.io.now_ns {
                self.doors_paused = true;
                continue;
            }
            let token = Token::Listener(key);
            if self.io.poll.add_listener(&listener.socket, token).is_ok() {
                listener.paused_until_ns = None;
            } else {
                listener.paused_until_ns = Some(self.io.now_ns + PAUSE_NS);
                self.doors_paused = true;
            }
        }
    }

    /// When a paused door is to be opened.
    pub fn listeners_again_ns(&self) -> Option<u64> {
        if !self.doors_paused {
            return None;
        }
        let keys = self.listeners.keys();
        let paused = keys
            .iter()
            .filter_map(|&key| self.listeners.get(key)?.paused_until_ns);
        paused.filter(|&until_ns| until_ns != u64::MAX).min()
    }

    /// Closes all doors.
    pub fn close_listeners(&mut self) {
        for key in self.listeners.keys() {
            self.listeners.remove(key);
        }
    }

    /// Serves a connection as a client's.
    fn add_down(&mut self, socket: OwnedFd, peer: String, guest: Option<IpAddr>) {
        if self.stopping.is_some() {
            return;
        }
        let (io, timers) = (&self.io, &mut self.timers);
        let Ok(key) = self.downs.try_insert_with(|key| {
            let token = Token::Down(key);
            let conn = Conn::unwatched(socket, token);
            let mut deadlines = Deadlines::new();
            deadlines.set(
                Deadline::Idle,
                io.now_ns.saturating_add(ns(self.shared.timeouts.idle)),
            );
            Ok::<_, Infallible>(Down {
                conn,
                peer,
                guest,
                phase: Phase::Head,
                scan: HeadScan::request(),
                exchange: Exchange::new(),
                deadlines,
                timer: timers.add(token.pack()),
                pace: Pace::new(io.now_ns),
                dropped: 0,
                goes_on: false,
            })
        });
        self.shared.shards[self.index].connections.add(1);
        self.unwatched.push(key);
        self.drive(key);
    }

    /// Watches the connections that were taken in since the last sleep and are still there: one that was
    /// answered and closed by then costs no call for this.
    pub fn watch_accepted(&mut self) {
        while let Some(key) = self.unwatched.pop() {
            let Some(down) = self.downs.get_mut(key) else {
                continue;
            };
            if let Err(error) = down.conn.watch(&self.io.poll) {
                log::warn!(
                    "a connection cannot be watched: {error} (raise fs.epoll.max_user_watches?)"
                );
                self.client_gone(key);
            }
        }
    }
}
