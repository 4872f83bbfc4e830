//! The deadlines of one client connection. They move with every request, so they are plain fields; only the
//! earliest is armed.

/// Never.
pub const NEVER: u64 = u64::MAX;

/// Why a connection may run out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// No request comes.
    Idle,
    /// A request head does not end.
    Head,
    /// An announced body does not come.
    Body,
    /// A body for the provider is not complete.
    ProviderBody,
    /// The client takes nothing of what waits for it.
    Write,
    /// The function does not finish.
    Exec,
    /// No replica became free.
    Queue,
    /// The client closed its sending side and may be gone.
    HalfClosed,
    /// The connection is being closed, or an upgraded one says nothing.
    Close,
}

const ALL: [Deadline; 9] = [
    Deadline::Idle,
    Deadline::Head,
    Deadline::Body,
    Deadline::ProviderBody,
    Deadline::Write,
    Deadline::Exec,
    Deadline::Queue,
    Deadline::HalfClosed,
    Deadline::Close,
];

/// Monotonic times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines([u64; ALL.len()]);

impl Deadlines {
    pub const fn new() -> Self {
        Self([NEVER; ALL.len()])
    }

    /// Sets one.
    pub fn set(&mut self, which: Deadline, at_ns: u64) {
        self.0[which as usize] = at_ns;
    }

    /// Sets one unless it runs already.
    pub fn begin(&mut self, which: Deadline, at_ns: u64) {
        if self.0[which as usize] == NEVER {
            self.0[which as usize] = at_ns;
        }
    }

    /// Takes one away.
    pub fn clear(&mut self, which: Deadline) {
        self.0[which as usize] = NEVER;
    }

    /// Takes all away.
    pub fn clear_all(&mut self) {
        *self = Self::new();
    }

    /// The earliest, [`NEVER`] if none runs.
    pub fn earliest(&self) -> u64 {
        self.0.iter().copied().min().unwrap_or(NEVER)
    }

    /// One that is over.
    pub fn due(&self, now_ns: u64) -> Option<Deadline> {
        ALL.into_iter()
            .find(|&which| self.0[which as usize] <= now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_over_is_found() {
        let mut deadlines = Deadlines::new();
        assert_eq!((deadlines.earliest(), deadlines.due(100)), (NEVER, None));
        deadlines.set(Deadline::Exec, 50);
        deadlines.begin(Deadline::Exec, 10);
        deadlines.begin(Deadline::Body, 70);
        assert_eq!(
            (deadlines.earliest(), deadlines.due(49), deadlines.due(50)),
            (50, None, Some(Deadline::Exec))
        );
        deadlines.clear(Deadline::Exec);
        assert_eq!(deadlines.due(70), Some(Deadline::Body));
        deadlines.clear_all();
        assert_eq!(deadlines.earliest(), NEVER);
    }
}
