use super::*;

fn wanted(replicas: &[(&str, bool)]) -> wire::Function {
    let replicas = replicas.iter().map(|&(sandbox, draining)| wire::Replica {
        sandbox: sandbox.into(),
        port: 8080,
        draining,
    });
    wire::Function {
        name: "f".into(),
        namespace: "n".into(),
        settings: wire::FunctionSettings::default(),
        replicas: replicas.collect(),
    }
}

#[test]
fn a_replica_that_stays_keeps_its_requests() {
    let registry = Registry::new(1);
    registry
        .put(wanted(&[("a", false), ("b", false)]))
        .expect("valid");
    let first = registry.table.load().find("f.n").expect("there").clone();
    assert!(first.replicas[0].try_acquire(0) && first.replicas[1].try_acquire(0));
    registry
        .put(wanted(&[("b", false), ("c", false)]))
        .expect("valid");
    let second = registry.table.load().find("f.n").expect("there").clone();
    assert_eq!(second.replicas[0].id, first.replicas[1].id);
    assert!(first.replicas[0].is_draining() && !second.replicas[0].is_draining());
    assert_eq!(
        (
            registry.in_flight("a"),
            registry.in_flight("b"),
            registry.in_flight("c")
        ),
        (1, 1, 0)
    );
    assert_eq!(
        registry.functions(),
        [wanted(&[("b", false), ("c", false)])]
    );
}

#[test]
fn deletion_retires_all_replicas() {
    let registry = Registry::new(1);
    registry.put(wanted(&[("a", false)])).expect("valid");
    let function = registry.table.load().find("f.n").expect("there").clone();
    assert!(registry.delete("f", "n"));
    assert!(!registry.delete("f", "n"));
    assert!(function.replicas[0].is_draining());
    assert!(registry.table.load().find("f.n").is_none());
}

#[test]
fn what_cannot_be_routed_is_refused() {
    let registry = Registry::new(1);
    let mut bad = wanted(&[]);
    bad.name = "a/b".into();
    assert!(matches!(registry.put(bad), Err(BadFunction::Name(_))));
    let mut bad = wanted(&[]);
    bad.namespace = "a.b".into();
    assert!(matches!(registry.put(bad), Err(BadFunction::Namespace(_))));
    assert!(matches!(
        registry.put(wanted(&[("a", false), ("a", true)])),
        Err(BadFunction::Twice { .. })
    ));
}
