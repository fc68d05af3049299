//! Random scenarios, each step of which is judged by the oracle. A failure is told as a scenario that has been made as
//! short as can be, in the words of [`super::script`].

use proptest::prelude::*;
use proptest::sample::select;

use super::oracle::fault;
use super::script::Stage;

/// The most steps of one scenario; the mean is half of it.
const STEPS: usize = 200;
/// Scenarios: more than a hundred thousand steps in all. `PROPTEST_CASES` asks for more.
const SCENARIOS: u32 = 1_200;

const SERVICES: usize = 9;

#[derive(Clone, Debug)]
enum Step {
    /// All pools: whose each block of addresses is, and what else each pool says.
    Pools([usize; 6], [&'static str; 3]),
    Namespace(&'static str, &'static str),
    Ask(usize, String),
    Again(usize),
    Delete(usize),
    Claim(&'static str, &'static str),
    Plain(&'static str),
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(SCENARIOS),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_step_keeps_all_promises(steps in prop::collection::vec(step(), 1..=STEPS)) {
        let mut stage = Stage::new();
        let mut done: Vec<String> = Vec::new();
        for step in &steps {
            let before = stage.requests.clone();
            for words in step.words(&stage) {
                done.push(words);
                let told = done.last().map(|words| stage.step(words));
                prop_assert_eq!(told, Some(Ok(())));
            }
            let fault = fault(&stage, &before);
            prop_assert!(fault.is_none(), "{}\n{}", fault.unwrap_or_default(), done.join("\n"));
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let rules = || {
        select(vec![
            "",
            "",
            "",
            "manual",
            "drain",
            "unready",
            "!10.0.0.0-10.0.0.4",
            "ns=red",
            "nssel=team:a prio=3",
            "prio=1",
            "svcsel=app:web",
            "ns=blue prio=2 !fd00::",
            "manual ns=red",
            "ns=red svcsel=app:web",
        ])
    };
    let owners = prop::array::uniform6(0..4_usize);
    prop_oneof![
        1 => (owners, [rules(), rules(), rules()]).prop_map(|(owners, rules)| Step::Pools(owners, rules)),
        1 => (select(vec!["red", "blue"]), select(vec!["", "team:a", "team:b"]))
            .prop_map(|(name, label)| Step::Namespace(name, label)),
        8 => (0..SERVICES, wish()).prop_map(|(service, words)| Step::Ask(service, words)),
        3 => (0..SERVICES).prop_map(Step::Again),
        3 => (0..SERVICES).prop_map(Step::Delete),
        1 => (select(vec!["x", "y"]), select(vec!["", "10.0.0.0,10.0.0.7", "10.0.0.3", "fd00::,10.0.0.1"]))
            .prop_map(|(name, addresses)| Step::Claim(name, addresses)),
        1 => select(vec!["wait 1", "wait 30", "wait 300", "restart"]).prop_map(Step::Plain),
    ]
}

fn wish() -> impl Strategy<Value = String> {
    let families = select(vec!["v4", "v4", "v6", "prefer", "require"]);
    let source = select(vec![
        "",
        "",
        "",
        "pool=p0",
        "pool=p1",
        "pool=p9",
        "ips=10.0.0.1",
        "ips=10.0.0.7",
        "ips=fd00::2",
        "ips=10.0.0.3,fd00::1",
        "ips=10.0.0.3,fd00::1 pool=p0",
        "ips=10.0.0.5 pool=p1",
        "ips=10.9.0.1",
    ]);
    let sharing = select(vec!["", "", "key=k", "key=k", "key=l"]);
    let ports = select(vec!["", "ports=81", "ports=80,81", "ports=80/UDP"]);
    let rest = select(vec!["", "", "app:web", "local=web", "local=db app:web"]);
    (families, source, sharing, ports, rest).prop_map(|(families, source, sharing, ports, rest)| {
        [families, source, sharing, ports, rest].join(" ")
    })
}

impl Step {
    /// The step in words, one line or several; none if there is nothing that it could be about.
    fn words(&self, stage: &Stage) -> Vec<String> {
        let name = |service: &usize| format!("s{service}");
        let exists = |service: &usize| stage.requests.contains_key(&name(service));
        match self {
            Self::Pools(owners, rules) => {
                let gone = stage.pools.keys().map(|pool| format!("no pool {pool}"));
                let pools = (0..3).map(|pool| {
                    let blocks = (0..6).filter(|block| owners[*block] == pool).map(block);
                    format!("pool p{pool} {} {}", blocks.collect::<Vec<_>>().join(" "), rules[pool])
                });
                gone.chain(pools).collect()
            }
            Self::Namespace(name, label) => vec![format!("ns {name} {label}")],
            Self::Ask(service, words) => {
                let namespace = ["red", "blue"][service % 2];
                vec![format!("{} ns={namespace} age={service} {words} -> _", name(service))]
            }
            Self::Again(service) if exists(service) => vec![format!("{} -> _", name(service))],
            Self::Delete(service) if exists(service) => vec![format!("delete {}", name(service))],
            Self::Again(_) | Self::Delete(_) => Vec::new(),
            Self::Claim(name, addresses) => vec![format!("claim {name} {addresses}")],
            Self::Plain(words) => vec![(*words).to_owned()],
        }
    }
}

/// Three addresses: four blocks of IPv4, then two of IPv6.
fn block(index: usize) -> String {
    let (prefix, first) = if index < 4 { ("10.0.0.", index * 3) } else { ("fd00::", (index - 4) * 3) };
    format!("{prefix}{first}-{prefix}{}", first + 2)
}
