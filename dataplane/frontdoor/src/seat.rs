//! The core of a worker's thread, and what the thread made of its time there.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use rustix::thread::{gettid, sched_getaffinity, sched_setaffinity, CpuSet, Pid};

use crate::clock::monotonic_ns;
use crate::stats::Counter;

/// Where a worker runs; written by the worker when it starts.
#[derive(Debug, Default)]
pub struct Seat {
    thread: AtomicI32,
    since_ns: Counter,
}

/// How a thread spent its time since it started. Run, wait and park add up to its age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// On a core.
    pub run_ns: u64,
    /// Able to run while others had the core.
    pub wait_ns: u64,
    /// Asleep.
    pub park_ns: u64,
}

impl Seat {
    /// Called by the worker's own thread: goes to `core` and tells readers where it is. A core that this process may
    /// not use is said and left: a worker on another core is slower, none at all is worse.
    pub fn take(&self, core: Option<usize>) {
        let thread = gettid();
        if let Some(core) = core {
            if let Err(error) = pin(core) {
                log::warn!(
                    "a front-door thread stays off core {core}: {error}; name cores that jnetd may use (--cores)"
                );
            }
        }
        self.since_ns.add(monotonic_ns());
        self.thread.store(thread.as_raw_nonzero().get(), Relaxed);
    }

    /// The thread, once it runs.
    pub fn thread(&self) -> Option<Pid> {
        Pid::from_raw(self.thread.load(Relaxed))
    }

    /// The cores that the thread may use now, whoever chose them.
    pub fn cores(&self) -> Vec<usize> {
        let Some(Ok(set)) = self.thread().map(|thread| sched_getaffinity(Some(thread))) else {
            return Vec::new();
        };
        (0..CpuSet::MAX_CPU)
            .filter(|&core| set.is_set(core))
            .collect()
    }

    /// The thread's time, from the scheduler's own counters: counting costs the worker nothing.
    /// (`Documentation/scheduler/sched-stats.rst`; all zero on a kernel without them.)
    pub fn times(&self) -> Times {
        let Some(thread) = self.thread() else {
            return Times::default();
        };
        let path = format!(
            "/proc/self/task/{}/schedstat",
            thread.as_raw_nonzero().get()
        );
        let text = std::fs::read_to_string(path).unwrap_or_default();
        parse(&text, monotonic_ns().saturating_sub(self.since_ns.get()))
    }
}

fn pin(core: usize) -> rustix::io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(rustix::io::Errno::INVAL);
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
}

fn parse(schedstat: &str, age_ns: u64) -> Times {
    let mut fields = schedstat.split_ascii_whitespace().map(str::parse);
    let (Some(Ok(run_ns)), Some(Ok(wait_ns))) = (fields.next(), fields.next()) else {
        return Times::default();
    };
    Times {
        run_ns,
        wait_ns,
        park_ns: age_ns.saturating_sub(run_ns).saturating_sub(wait_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_running_nor_waiting_is_parked() {
        let expected = Times {
            run_ns: 594,
            wait_ns: 63,
            park_ns: 343,
        };
        assert_eq!(parse("594 63 3\n", 1000), expected);
        assert_eq!(parse("", 1000), Times::default());
        assert_eq!(parse("900 200 3", 1000).park_ns, 0);
    }

    #[test]
    fn a_thread_takes_the_core_it_is_given() {
        let free = sched_getaffinity(None).expect("affinity");
        let last = (0..CpuSet::MAX_CPU)
            .rev()
            .find(|&core| free.is_set(core))
            .expect("a core");
        let seat = std::sync::Arc::new(Seat::default());
        let of_thread = std::sync::Arc::clone(&seat);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            of_thread.take(Some(last));
            ready.send(()).expect("the test waits");
            let _ = stopped.recv();
        });
        is_ready.recv().expect("the thread runs");
        assert_eq!(seat.cores(), [last]);
        assert!(seat.times().run_ns > 0);
        drop(stop);
        thread.join().expect("ended");
    }

    #[test]
    fn a_core_that_does_not_exist_leaves_the_thread_where_it_is() {
        let seat = Seat::default();
        seat.take(Some(usize::MAX));
        assert!(!seat.cores().is_empty());
    }
}
