//! A connection to a function or to the provider.

use std::sync::Arc;

use crate::conn::Conn;
use crate::holder::Holder;
use crate::slab::Key;
use crate::table::Replica;
use crate::timers::Slot;

/// Where a connection leads.
#[derive(Clone, Debug)]
pub enum Home {
    /// To a function's replica.
    Replica(Arc<Replica>),
    /// To the provider.
    Provider,
}

/// A connection to a function or to the provider.
pub struct Up {
    pub conn: Conn,
    pub home: Home,
    /// By whom the guest finds it to ask for a ring; none: it is the provider's. It must live as long as this.
    #[expect(
        dead_code,
        reason = "others find the connection by it only while it lives"
    )]
    pub holder: Option<Arc<Holder>>,
    /// The client it works for; none while it is idle.
    pub owner: Option<Key>,
    /// It has served a request before: the peer may have closed it just now.
    pub reused: bool,
    /// Bytes of the request were written.
    pub wrote: bool,
    /// The request can be sent again: all its bytes so far are in the buffer, and no byte came back.
    pub replayable: bool,
    /// The peer takes another request after this one.
    pub keep_alive: bool,
    pub timer: Slot,
    pub idle_until_ns: u64,
}

/// Longest request kept for a second try, in bytes.
pub const REPLAY_BYTES_MAX: usize = 64 << 10;

impl Up {
    /// Gives up sending the request a second time.
    pub fn stop_replay(&mut self) {
        self.replayable = false;
        self.conn.unsent.forget_taken();
    }

    /// Whether another request may be sent on it, now that a response is complete.
    pub fn is_reusable(&self) -> bool {
        let conn = &self.conn;
        let draining = match &self.home {
            Home::Replica(replica) => replica.is_draining(),
            Home::Provider => false,
        };
        self.keep_alive
            && !draining
            && !conn.ended
            && !conn.half_closed
            && !conn.broken
            && conn.unsent.is_empty()
            && conn.received.is_empty()
    }
}
