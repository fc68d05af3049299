//! Random events, writes that fail, conflict or come late; and at rest, nothing that could be given is left ungiven.

use proptest::prelude::*;
use proptest::sample::select;

use super::stage::Stage;
use crate::verdict::Shown;

const SERVICES: usize = 7;
/// Sequences of events. `PROPTEST_CASES` asks for more.
const SEQUENCES: u32 = 300;

#[derive(Clone, Debug)]
enum Step {
    Ask(usize, &'static str),
    Delete(usize),
    LeaveType(usize),
    LeaveClass(usize),
    Pools(&'static [(&'static str, &'static str)]),
    /// The next write is refused by the server.
    Fail,
    /// The next write finds another version.
    Conflict,
    /// The next write is made, and the watch tells of it first.
    WatchFirst,
    /// Some writes are made.
    Write(usize),
    /// The operator is another process.
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_rest_a_new_operator_would_write_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let mut stage = Stage::new("10.0.0.1-10.0.0.3");
        for step in &steps {
            step.play(&mut stage);
        }
        stage.rest();
        prop_assert_eq!(stage.duplicates(), Vec::<String>::new());
        let cluster = stage.cluster.clone();
        stage.restart();
        while let Some(update) = stage.next() {
            let service = &cluster[&*update.service.name];
            let before = stage.status(&update.service.name);
            prop_assert_eq!(&update.patch.addresses, &None, "{}: {}", update.service, before);
            // A message may name what bars each pool now; the reason has to be the same.
            let conditions = update.patch.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let known = Shown::of(service).conditions;
            for condition in conditions {
                let same = known.iter().any(|it| it.type_ == condition["type"] && it.reason == condition["reason"]);
                prop_assert!(same, "{}: {} after {}", update.service, condition, before);
            }
        }
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(SEQUENCES)
}

fn step() -> impl Strategy<Value = Step> {
    let asks = select(vec![
        "",
        "",
        "",
        "ferrolb.io/loadBalancerIPs: 10.0.0.2",
        "ferrolb.io/loadBalancerIPs: 10.0.1.1",
        "ferrolb.io/address-pool: p",
        "ferrolb.io/address-pool: q",
        "ferrolb.io/allow-shared-ip: k",
        "ferrolb.io/loadBalancerIPs: 10.0.0.2, ferrolb.io/allow-shared-ip: k",
        "ferrolb.io/loadBalancerIPs: none",
    ]);
    let pools = select(vec![
        &[("p", "10.0.0.1-10.0.0.3")][..],
        &[("p", "10.0.0.1-10.0.0.2"), ("q", "10.0.1.1")][..],
        &[("q", "10.0.0.1-10.0.0.3")][..],
        &[("p", "10.0.0.2")][..],
        &[][..],
    ]);
    prop_oneof![
        8 => (0..SERVICES, asks).prop_map(|(service, asks)| Step::Ask(service, asks)),
        4 => (0..SERVICES).prop_map(Step::Delete),
        1 => (0..SERVICES).prop_map(Step::LeaveType),
        1 => (0..SERVICES).prop_map(Step::LeaveClass),
        1 => pools.prop_map(Step::Pools),
        2 => Just(Step::Fail),
        2 => Just(Step::Conflict),
        2 => Just(Step::WatchFirst),
        6 => (1..4_usize).prop_map(Step::Write),
        1 => Just(Step::Restart),
    ]
}

impl Step {
    fn play(&self, stage: &mut Stage) {
        let name = |service: usize| format!("s{service}");
        match *self {
            Self::Ask(service, asks) => stage.service(&name(service), asks),
            Self::Delete(service) if stage.cluster.contains_key(&name(service)) => {
                stage.delete(&name(service))
            }
            Self::LeaveType(service) => {
                let Some(service) = stage.cluster.get(&name(service)).cloned() else { return };
                stage.leave_type(service);
            }
            Self::LeaveClass(service) => {
                let Some(service) = stage.cluster.get(&name(service)).cloned() else { return };
                stage.leave_class(service);
            }
            Self::Delete(_) => {}
            Self::Pools(pools) => stage.set_pools(pools),
            Self::Fail => {
                let Some(update) = stage.next() else { return };
                stage.engine.failed(&update, stage.now);
            }
            Self::Conflict => {
                let Some(update) = stage.next() else { return };
                let Some(service) = stage.cluster.get(&*update.service.name).cloned() else { return };
                let newer = stage.store(service);
                stage.engine.conflicted(&update, Some(&newer), stage.now);
            }
            Self::WatchFirst => {
                let Some(update) = stage.next() else { return };
                let written = stage.patched(&update);
                stage.engine.apply_service(&written, stage.now);
                stage.engine.applied(&update, &written, stage.now);
            }
            Self::Write(count) => {
                for _ in 0..count {
                    let Some(update) = stage.next() else { return };
                    stage.write(&update);
                }
            }
            Self::Restart => stage.restart(),
        }
    }
}
