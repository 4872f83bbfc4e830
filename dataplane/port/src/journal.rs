//! Which calls were received and not answered, in memory that outlives this process.
//!
//! A guest's thread whose notification was received waits until it is answered. If this process
//! dies, the next one answers what the journal lists; otherwise the thread would wait for ever.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::sys;
use crate::sys::journal::{Map, SLOTS};

/// The journal of one sandbox.
pub(crate) struct Journal {
    map: Map,
    free: Vec<usize>,
    used: HashMap<u64, usize>,
}

impl Journal {
    /// Maps the journal and answers with `EINTR` whatever a dead predecessor left in it.
    pub fn take_over(memfd: BorrowedFd<'_>, notify: BorrowedFd<'_>) -> Result<Self, Errno> {
        let map = Map::new(memfd)?;
        for slot in 0..SLOTS {
            let id = map.get(slot);
            if id != 0 {
                // ENOENT means that the caller died meanwhile.
                let _ = sys::notify::fail(notify, id, libc::EINTR);
                map.set(slot, 0);
            }
        }
        Ok(Self {
            map,
            free: (0..SLOTS).rev().collect(),
            used: HashMap::new(),
        })
    }

    /// Notes a received notification; false: no slot is left, it must be answered at once.
    pub fn open(&mut self, id: u64) -> bool {
        let Some(slot) = self.free.pop() else {
            return false;
        };
        self.map.set(slot, id);
        self.used.insert(id, slot);
        true
    }

    /// Notes that it was answered.
    pub fn close(&mut self, id: u64) {
        if let Some(slot) = self.used.remove(&id) {
            self.map.set(slot, 0);
            self.free.push(slot);
        }
    }
}
