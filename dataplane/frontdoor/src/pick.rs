//! Which replica serves the next request: the one with the least in flight; among equals, the next in turn.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use crate::dispatch::Why;
use crate::table::{Function, Replica};

/// Outcome of a search.
#[derive(Debug)]
pub enum Pick {
    /// A place was taken on this replica.
    Replica(Arc<Replica>),
    /// There is none.
    None(Why),
}

/// Takes a place on a replica of `function`; `limit` 0 means none.
pub fn pick(function: &Function, limit: u32, now_ns: u64) -> Pick {
    // A place can be lost to another worker between looking and taking: look again, but not for ever.
    for _ in 0..=function.replicas.len() {
        match least(function, limit, now_ns) {
            Pick::Replica(replica) if !replica.try_acquire(limit) => {}
            outcome => return outcome,
        }
    }
    Pick::None(Why::Busy)
}

/// Why no replica of `function` has a place; `None`: one has. `limit` 0 means none.
pub fn why_not(function: &Function, limit: u32, now_ns: u64) -> Option<Why> {
    match least(function, limit, now_ns) {
        Pick::Replica(_) => None,
        Pick::None(why) => Some(why),
    }
}

fn least(function: &Function, limit: u32, now_ns: u64) -> Pick {
    let replicas = &function.replicas;
    let turn = if replicas.len() > 1 {
        function.state.turn.fetch_add(1, Relaxed) as usize
    } else {
        0
    };
    let mut best: Option<(u32, &Arc<Replica>)> = None;
    let mut why = Why::Nobody;
    for place in 0..replicas.len() {
        let replica = &replicas[(turn + place) % replicas.len()];
        if replica.is_draining() {
            continue;
        }
        if replica.down_until_ns.load(Relaxed) > now_ns {
            if why == Why::Nobody {
                why = Why::Unreachable;
            }
            continue;
        }
        let in_flight = replica.in_flight.load(Relaxed);
        if limit > 0 && in_flight >= limit {
            why = Why::Busy;
        } else if best.is_none_or(|(least, _)| in_flight < least) {
            best = Some((in_flight, replica));
        }
    }
    best.map_or(Pick::None(why), |(_, replica)| {
        Pick::Replica(Arc::clone(replica))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::FunctionState;
    use std::sync::atomic::Ordering::SeqCst;

    fn function(replicas: u64) -> Function {
        Function {
            name: "f".into(),
            namespace: "n".into(),
            settings: jd_wire::control::FunctionSettings::default(),
            replicas: (0..replicas)
                .map(|id| Arc::new(Replica::new(id, "s", 1, false)))
                .collect(),
            state: Arc::new(FunctionState::new(1, 1)),
        }
    }

    fn picked(outcome: Pick) -> u64 {
        match outcome {
            Pick::Replica(replica) => replica.id,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn equals_take_turns_and_the_least_loaded_wins() {
        let function = function(3);
        let mut first: Vec<u64> = (0..3).map(|_| picked(pick(&function, 0, 0))).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
        function.replicas[1].release();
        assert_eq!(picked(pick(&function, 0, 0)), 1);
    }

    #[test]
    fn draining_and_unreachable_replicas_are_passed_over() {
        let function = function(2);
        function.replicas[0].draining.store(true, SeqCst);
        assert_eq!(picked(pick(&function, 0, 0)), 1);
        function.replicas[1].failed(0);
        assert!(matches!(
            pick(&function, 0, 0),
            Pick::None(Why::Unreachable)
        ));
        assert_eq!(picked(pick(&function, 0, u64::MAX)), 1);
        function.replicas[1].draining.store(true, SeqCst);
        assert!(matches!(
            pick(&function, 0, u64::MAX),
            Pick::None(Why::Nobody)
        ));
    }

    #[test]
    fn the_limit_holds_for_each_replica() {
        let function = function(2);
        assert_eq!(
            (0..2).map(|_| picked(pick(&function, 1, 0))).sum::<u64>(),
            1
        );
        assert!(matches!(pick(&function, 1, 0), Pick::None(Why::Busy)));
        function.replicas[0].failed(0);
        assert!(matches!(pick(&function, 1, 0), Pick::None(Why::Busy)));
    }
}
