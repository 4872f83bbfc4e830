//! The limit of open files: every connection and every sandbox costs descriptors.

use std::fs;

use jd_frontdoor::Limits;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// Sandboxes that the limit should be enough for.
const SANDBOXES: u64 = 1_000;

/// Descriptors that one sandbox holds at its most where it means no harm by others: those of its rings (one for
/// each of its waiters), of its namespace, and of calls that wait.
const PER_SANDBOX: u64 = 300;

/// What is left for everything else.
const OTHERS: u64 = 1_024;

/// Raises the limit as far as the kernel lets it, and says so where it is too low.
pub fn raise_limit(workers: usize) {
    let before = getrlimit(Resource::Nofile);
    // Only a privileged process may raise its own bound; the kernel's is fs.nr_open.
    let highest = fs::read_to_string("/proc/sys/fs/nr_open").ok();
    let highest = highest.and_then(|text| text.trim().parse::<u64>().ok());
    let wide = before.maximum.max(highest);
    for maximum in [wide, before.maximum] {
        let limit = Rlimit {
            current: maximum,
            maximum,
        };
        if before.maximum.is_some() && setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    if let Some(text) = shortage(getrlimit(Resource::Nofile).current, workers) {
        log::warn!("{text}");
    }
}

/// Why a limit (`None`: none) is too low for so many workers.
fn shortage(limit: Option<u64>, workers: usize) -> Option<String> {
    let limit = limit?;
    let bounds = Limits::default();
    let connections = (bounds.connections_max + bounds.guest_connections_max) * workers.max(1);
    // Each has its client's end and its function's.
    let front = 2 * connections as u64;
    let wanted = front + SANDBOXES * PER_SANDBOX + OTHERS;
    (limit < wanted).then(|| {
        let sandboxes = limit.saturating_sub(front + OTHERS) / PER_SANDBOX;
        format!(
            "the limit of open files is {limit}: enough for {connections} connections and {sandboxes} sandboxes at their \
             most; for {SANDBOXES} raise it to {wanted} (LimitNOFILE= of the service, or ulimit -n)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_named_with_its_mend() {
        assert_eq!(shortage(None, 4), None);
        assert_eq!(shortage(Some(1 << 20), 1), None);
        let text = shortage(Some(65_536), 1).expect("too low");
        assert!(text.contains("and 51 sandboxes"), "{text}");
        assert!(text.contains("raise it to 350176 (LimitNOFILE="), "{text}");
        assert!(shortage(Some(1_024), 64)
            .expect("too low")
            .contains("and 0 sandboxes"));
    }

    #[test]
    fn the_limit_is_raised() {
        raise_limit(1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
