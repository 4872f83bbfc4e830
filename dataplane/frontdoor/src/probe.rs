//! Asking a sandbox whether it is ready: does it accept a connection, and answer 2xx on a path?

use rustix::event::epoll::EventFlags;

use crate::conn::{Conn, Io};
use crate::handle::ProbeDone;
use crate::poll::Token;
use crate::slab::Key;
use crate::timers::Slot;
use crate::worker::Worker;

/// What is asked.
pub struct ProbeOrder {
    pub sandbox: String,
    pub port: u16,
    pub path: Option<String>,
    pub until_ns: u64,
    pub done: ProbeDone,
}

/// One probe that is going on.
pub struct Probe {
    order: ProbeOrder,
    conn: Option<Conn>,
    scan: jd_http::HeadScan,
    timer: Slot,
    wait_ns: u64,
}

/// First wait after a failed try; doubles up to [`WAIT_NS_MAX`].
const WAIT_NS_MIN: u64 = 1_000_000;
const WAIT_NS_MAX: u64 = 50_000_000;

/// Longest answer head that is read, in bytes.
const HEAD_LIMITS: jd_http::Limits = jd_http::Limits {
    head_bytes_max: 64 << 10,
    target_bytes_max: 0,
};

impl Worker {
    /// Begins a probe.
    pub fn start_probe(&mut self, order: ProbeOrder) {
        let timers = &mut self.timers;
        let started = self.probes.try_insert_with(|key| {
            let timer = timers.add(Token::Probe(key).pack());
            let scan = jd_http::HeadScan::response();
            Ok::<_, std::convert::Infallible>(Probe {
                order,
                conn: None,
                scan,
                timer,
                wait_ns: WAIT_NS_MIN,
            })
        });
        let Ok(key) = started;
        self.try_probe(key);
    }

    fn try_probe(&mut self, key: Key) {
        let Some(probe) = self.probes.get_mut(key) else {
            return;
        };
        let order = &probe.order;
        let dialled = self.shared.dialer.dial(&order.sandbox, order.port, None);
        let Some(path) = &order.path else {
            return if dialled.is_ok() {
                self.end_probe(key, Some(None))
            } else {
                self.probe_later(key)
            };
        };
        let request = format!(
            "GET {}{path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-probe/junctiond\r\nConnection: close\r\n\r\n",
            if path.starts_with('/') { "" } else { "/" }
        );
        let conn = dialled.and_then(|socket| Conn::new(socket, Token::Probe(key), false, &self.io));
        match conn {
            Ok(mut conn) => {
                conn.unsent
                    .back(&mut self.io.pool)
                    .extend_from_slice(request.as_bytes());
                probe.scan = jd_http::HeadScan::response();
                // A failed write shows as the end of the connection.
                let _ = conn.flush(&mut self.io, false);
                probe.conn = Some(conn);
                let until_ns = probe.order.until_ns;
                self.timers.arm(probe.timer, until_ns);
            }
            Err(_) => self.probe_later(key),
        }
    }

    fn probe_later(&mut self, key: Key) {
        let Some(probe) = self.probes.get_mut(key) else {
            return;
        };
        release(&mut probe.conn, &mut self.io);
        let at_ns = (self.io.now_ns + probe.wait_ns).min(probe.order.until_ns);
        probe.wait_ns = (probe.wait_ns * 2).min(WAIT_NS_MAX);
        self.timers.arm(probe.timer, at_ns);
    }

    /// Something happened on a probe's connection.
    pub fn probe_event(&mut self, key: Key, flags: EventFlags) {
        let Some(probe) = self.probes.get_mut(key) else {
            return;
        };
        let Some(conn) = &mut probe.conn else { return };
        conn.note(flags);
        let _ = conn.flush(&mut self.io, false);
        let got = conn.fill(&mut self.io).unwrap_or(0);
        match probe.scan.advance(conn.received.pending(), &HEAD_LIMITS) {
            Ok(Some(length)) => {
                let mut space = jd_http::header_space();
                let head = jd_http::ResponseHead::parse(
                    &conn.received.pending()[..length],
                    &mut space,
                    false,
                );
                match head.map(|head| head.status) {
                    Ok(status) if (200..300).contains(&status) => {
                        self.end_probe(key, Some(Some(status)))
                    }
                    _ => self.probe_later(key),
                }
            }
            Ok(None) if got > 0 || !conn.ended => {}
            _ => self.probe_later(key),
        }
    }

    /// A probe's wait or its whole time is over.
    pub fn expire_probe(&mut self, key: Key) {
        let Some(probe) = self.probes.get(key) else {
            return;
        };
        if probe.order.until_ns <= self.io.now_ns {
            return self.end_probe(key, None);
        }
        if probe.conn.is_none() {
            return self.try_probe(key);
        }
        self.timers.arm(probe.timer, probe.order.until_ns);
    }

    /// Tells the outcome.
    pub fn end_probe(&mut self, key: Key, outcome: Option<Option<u16>>) {
        let Some(mut probe) = self.probes.remove(key) else {
            return;
        };
        release(&mut probe.conn, &mut self.io);
        self.timers.remove(probe.timer);
        (probe.order.done)(outcome);
    }
}

/// Closes a connection and gives its memory back.
fn release(conn: &mut Option<Conn>, io: &mut Io) {
    if let Some(mut conn) = conn.take() {
        conn.received.clear();
        conn.unsent.clear();
        conn.release(io);
    }
}
