//! What an end did, for `junctiond stats` and the metrics.

/// Counts of one end since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Eventfds written to wake a guest.
    pub wakes_written: u64,
    /// Times a guest was told something while it was awake: a system call that was not needed.
    pub wakes_avoided: u64,
    /// Bytes published to the guest.
    pub bytes_to_guest: u64,
    /// Bytes taken from the guest.
    pub bytes_to_host: u64,
    /// Violations of the protocol: 0 or 1 for an end.
    pub violations: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.wakes_written += other.wakes_written;
        self.wakes_avoided += other.wakes_avoided;
        self.bytes_to_guest += other.bytes_to_guest;
        self.bytes_to_host += other.bytes_to_host;
        self.violations += other.violations;
    }
}
