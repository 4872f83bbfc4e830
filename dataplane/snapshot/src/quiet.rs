//! Is the program at rest? Looked at from outside, without stopping it.

use crate::procfs;

/// Calls in which a server waits for its first connection.
pub const WAITS: [libc::c_long; 9] = [
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// One thread, waiting in one of [`WAITS`].
    Waiting,
    /// It does something.
    Busy,
    /// More threads than one: it can never be captured unless they end.
    Threads,
    /// It is gone.
    Gone,
}

/// Looks at the process once.
#[must_use]
pub fn look(pid: i32) -> Look {
    let (Ok(status), Ok(call)) = (procfs::text(pid, "status"), procfs::text(pid, "syscall")) else {
        return Look::Gone;
    };
    judge(&status, &call)
}

fn judge(status: &str, call: &str) -> Look {
    let state = procfs::value(status, "State");
    if state.starts_with(['Z', 'X']) {
        return Look::Gone;
    }
    if procfs::value(status, "Threads") != "1" {
        return Look::Threads;
    }
    // "running", or the number of the call and its arguments.
    let number = call
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    if state.starts_with('S') && number.is_some_and(|number| WAITS.contains(&number)) {
        Look::Waiting
    } else {
        Look::Busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_waiting_thread_is_at_rest() {
        let status = "State:\tS (sleeping)\nThreads:\t1\n";
        assert_eq!(judge(status, "7 0x1 0x1\n"), Look::Waiting);
        assert_eq!(judge(status, "0 0x1 0x1\n"), Look::Busy);
        assert_eq!(judge(status, "running\n"), Look::Busy);
        assert_eq!(judge("State:\tS\nThreads:\t2\n", "7 0x1\n"), Look::Threads);
        assert_eq!(
            judge("State:\tZ (zombie)\nThreads:\t1\n", "7\n"),
            Look::Gone
        );
    }
}
