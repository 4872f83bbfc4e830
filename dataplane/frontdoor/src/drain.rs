//! Waiting for a sandbox to have nothing in flight.

use crate::handle::DrainDone;
use crate::worker::Worker;

/// One wait.
pub struct DrainWait {
    pub sandbox: String,
    pub until_ns: u64,
    pub done: DrainDone,
}

impl Worker {
    /// Ends every wait whose sandbox is empty or whose time is over.
    pub fn check_drains(&mut self) {
        let (now_ns, registry) = (self.io.now_ns, &self.shared.registry);
        let ending = self.stopping.is_some();
        let mut place = 0;
        while place < self.drains.len() {
            let in_flight = registry.in_flight(&self.drains[place].sandbox);
            if in_flight > 0 && self.drains[place].until_ns > now_ns && !ending {
                place += 1;
                continue;
            }
            let wait = self.drains.swap_remove(place);
            (wait.done)(in_flight);
            self.shared
                .drains
                .fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// When the next wait is over at the latest.
    pub fn drains_until_ns(&self) -> Option<u64> {
        self.drains.iter().map(|wait| wait.until_ns).min()
    }
}
