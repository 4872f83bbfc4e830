//! A thread's claim to its core while it wakes others.
//!
//! Where the front door and a function share a core, the first byte sent to the function's socket wakes it, and it takes
//! the core at once: eight requests become eight pairs of switches. Written in one go they become one. Only the kernel
//! can hold such a wake back, and it does for a thread of the real-time class, which the sender is for that moment.

use std::sync::OnceLock;

use crate::sys::policy;

/// Does `work`, a bounded piece that never waits, while no ordinary thread that it wakes can take this core. Where
/// that is not allowed (no `CAP_SYS_NICE`, a control group without real-time budget, a policy that somebody chose for
/// this process) the work is done as ever.
pub fn undisturbed(work: &mut dyn FnMut()) {
    let held = is_allowed() && policy::become_first();
    work();
    if held {
        policy::become_ordinary();
    }
}

/// Tried once: all threads of this process are alike.
fn is_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let allowed = policy::is_ordinary() && policy::become_first();
        if allowed {
            policy::become_ordinary();
        } else {
            log::info!("this process may not hold its core: requests that come together wake their function one by one");
        }
        allowed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_ends_with_the_work() {
        let (mut done, mut held) = (0, false);
        for _ in 0..3 {
            undisturbed(&mut || {
                done += 1;
                held = !policy::is_ordinary();
            });
            assert!(policy::is_ordinary());
        }
        assert_eq!(done, 3);
        assert_eq!(held, is_allowed());
    }
}
