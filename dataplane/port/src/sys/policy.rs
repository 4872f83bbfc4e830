//! The calling thread's scheduling policy (sched(7)).

/// Whether it is one of the ordinary class.
pub fn is_ordinary() -> bool {
    // SAFETY: no memory is involved. 0 is the calling thread.
    unsafe { libc::sched_getscheduler(0) == libc::SCHED_OTHER }
}

/// Makes it one of the real-time class, the least of them; false: that is not allowed.
pub fn become_first() -> bool {
    set(libc::SCHED_FIFO, 1)
}

/// Makes it one of the ordinary class, which is always allowed.
pub fn become_ordinary() {
    set(libc::SCHED_OTHER, 0);
}

fn set(policy: libc::c_int, priority: libc::c_int) -> bool {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the call only reads the structure, which lives until it returns. 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}
