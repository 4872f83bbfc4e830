//! The watchdog's own paths, answered by the front door (contract, section 5.2).

use jd_http::Method;

use crate::dispatch::Why;
use crate::headers::Reply;
use crate::reply;
use crate::route::path_of;
use crate::table::Function;
use std::sync::atomic::Ordering::Relaxed;

/// What to do with a request to a function under a watchdog.
#[derive(Debug)]
pub enum Own<'f> {
    /// It is not one of the watchdog's paths.
    No,
    /// Answer this.
    Reply(Box<Reply>),
    /// Ask the function for this path, beside its limit.
    Ask(&'f str),
}

/// Looks at the raw rest of the target.
pub fn own_path<'f>(function: &'f Function, rest: &str, method: Method, is_get: bool) -> Own<'f> {
    let path = path_of(rest);
    let ready = match path {
        "/_/health" => false,
        "/_/ready" => true,
        _ => return Own::No,
    };
    if !is_get || method == Method::Head {
        return Own::Reply(Box::new(Reply {
            extra: None,
            ..reply::method_not_allowed()
        }));
    }
    let mut available = function
        .replicas
        .iter()
        .filter(|replica| !replica.is_draining())
        .peekable();
    if available.peek().is_none() {
        return Own::Reply(Box::new(reply::health(false)));
    }
    if !ready {
        return Own::Reply(Box::new(reply::health(true)));
    }
    let limit = function.settings.replica_inflight_max;
    if limit > 0 && available.all(|replica| replica.in_flight.load(Relaxed) >= limit) {
        return Own::Reply(Box::new(reply::queue_full(function, Why::Busy)));
    }
    match &function.settings.ready_path {
        Some(path) => Own::Ask(path),
        None => Own::Reply(Box::new(reply::ready())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{FunctionState, Replica};
    use jd_wire::control::FunctionSettings;
    use std::sync::Arc;

    fn function(replicas: u64, settings: FunctionSettings) -> Function {
        Function {
            name: "f".into(),
            namespace: "n".into(),
            settings,
            replicas: (0..replicas)
                .map(|id| Arc::new(Replica::new(id, "s", 1, false)))
                .collect(),
            state: Arc::new(FunctionState::new(1, 1)),
        }
    }

    fn status(function: &Function, rest: &str, is_get: bool) -> Option<u16> {
        match own_path(function, rest, Method::Idempotent, is_get) {
            Own::Reply(reply) => Some(reply.status),
            Own::No | Own::Ask(_) => None,
        }
    }

    #[test]
    fn health_and_readiness_follow_the_replicas() {
        let none = function(0, FunctionSettings::default());
        let one = function(
            1,
            FunctionSettings {
                replica_inflight_max: 1,
                ..FunctionSettings::default()
            },
        );
        assert_eq!(
            (
                status(&none, "/_/health", true),
                status(&one, "/_/health?x", true)
            ),
            (Some(503), Some(200))
        );
        assert_eq!(
            (
                status(&none, "/_/ready", true),
                status(&one, "/_/ready", true)
            ),
            (Some(503), Some(200))
        );
        assert_eq!(
            (
                status(&one, "/_/ready", false),
                status(&one, "/_/other", true)
            ),
            (Some(405), None)
        );
        assert!(one.replicas[0].try_acquire(1));
        assert_eq!(status(&one, "/_/ready", true), Some(429));
    }

    #[test]
    fn a_ready_path_is_asked_of_the_function() {
        let settings = FunctionSettings {
            ready_path: Some("/up".into()),
            ..FunctionSettings::default()
        };
        let function = function(1, settings);
        assert!(matches!(
            own_path(&function, "/_/ready", Method::Idempotent, true),
            Own::Ask("/up")
        ));
    }
}
