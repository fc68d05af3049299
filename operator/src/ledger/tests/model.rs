//! The ledger against a reference that walks over every address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrolb_crds::pool::{IPAddressPoolSpec, PoolRanges};
use ferrolb_crds::range::{AddressRange, Family, from_bits};
use proptest::prelude::*;

use crate::key::ServiceKey;
use crate::ledger::{Ledger, Policy, PoolDefinition};
use crate::request::{Addresses, Families, Request, Source, Wish};

/// Pools `p0`..; each address of the universe belongs to one of them or to none.
const POOLS: usize = 3;
/// Addresses come in blocks, and a block belongs to one pool: the families' numbers of blocks.
const BLOCKS: [usize; 2] = [4, 2];
const BLOCK: usize = 3;
const SERVICES: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Pools(Vec<PoolSketch>, [Vec<usize>; 2]),
    Ask(usize, Families, Want),
    Again(usize),
    Delete(usize),
    Wait,
    Restart,
}

#[derive(Clone, Debug, Default)]
struct PoolSketch {
    manual: bool,
    drain: bool,
    /// Number of the first addresses of each block that are excluded.
    excluded: usize,
}

#[derive(Clone, Debug)]
enum Want {
    Anything,
    Pool(usize),
    Addresses([usize; 2]),
}

/// The reference: who has which address, and nothing else.
#[derive(Default)]
struct Model {
    pools: Vec<PoolSketch>,
    /// The pool of each block; `POOLS` stands for none.
    blocks: [Vec<usize>; 2],
    grace: bool,
    services: BTreeMap<usize, Owner>,
}

struct Owner {
    families: Families,
    want: Want,
    has: [Option<usize>; 2],
    /// The pools of what it has, as its annotation names them.
    from: Vec<String>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_decides_as_a_walk_over_all_addresses_does(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps)?;
    }
}

#[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut now = Instant::now();
    let mut ledger = Ledger::new(Policy { hold: Duration::ZERO, ..Policy::default() }, now);
    let mut model =
        Model { grace: true, blocks: BLOCKS.map(|blocks| vec![POOLS; blocks]), ..Model::default() };
    for step in steps {
        match step {
            Step::Pools(pools, blocks) => {
                (model.pools, model.blocks, model.grace) = (pools.clone(), blocks.clone(), true);
                ledger.set_pools(model.definitions(), now);
            }
            Step::Ask(index, families, want) => {
                let before = model.services.remove(index);
                let (has, from) = before.map_or(([None; 2], Vec::new()), |owner| (owner.has, owner.from));
                model.services.insert(*index, Owner { families: *families, want: want.clone(), has, from });
                ask(&mut ledger, &mut model, *index)?;
            }
            Step::Again(index) if model.services.contains_key(index) => ask(&mut ledger, &mut model, *index)?,
            Step::Delete(index) => {
                model.services.remove(index);
                ledger.release(&key(*index));
            }
            Step::Wait => {
                now += Duration::from_secs(30);
                ledger.handle_timeout(now);
                model.grace = false;
            }
            Step::Restart => {
                ledger = Ledger::new(Policy { hold: Duration::ZERO, ..Policy::default() }, now);
                ledger.set_pools(model.definitions(), now);
                model.grace = true;
                model
                    .services
                    .iter()
                    .for_each(|(index, owner)| ledger.adopt(&request(*index, owner, owner.has)));
                let indices: Vec<_> = model.services.keys().copied().collect();
                for index in indices {
                    ask(&mut ledger, &mut model, index)?;
                }
            }
            Step::Again(_) => {}
        }
        model.recount(&ledger)?;
    }
    Ok(())
}

fn ask(ledger: &mut Ledger, model: &mut Model, index: usize) -> Result<(), TestCaseError> {
    let before = model.services[&index].has;
    let request = request(index, &model.services[&index], before);
    let decision = ledger.decide(&request);
    ledger.settle(&request.service);
    let granted = model.decide(index);
    let owner = model.services.get_mut(&index).expect("it asks");
    owner.from = decision.assignment.iter().map(|place| place.pool.to_string()).collect();
    let found: Vec<_> = decision.assignment.iter().map(|place| place.address).collect();
    prop_assert_eq!(found, held(owner.has), "{:?}", &owner.want);
    prop_assert_eq!(decision.refusal.is_none(), granted, "{:?}", decision.refusal);
    let lost = held(before).into_iter().filter(|address| !decision.assignment.has(*address));
    prop_assert!(lost.eq(decision.given_up.iter().map(|given_up| given_up.address)));
    Ok(())
}

impl Model {
    /// Decides for one Service, and returns whether it has all that it has to have.
    fn decide(&mut self, index: usize) -> bool {
        let owner = &self.services[&index];
        let mut has = owner.has;
        for (family, has) in has.iter_mut().enumerate() {
            *has = has.filter(|number| self.keeps(owner, family, *number));
        }
        let wanted = |family: &usize| owner.families.include(Families::ALL[*family]);
        let missing: Vec<_> = (0..2).filter(|family| wanted(family) && has[*family].is_none()).collect();
        let mut next = match &owner.want {
            Want::Addresses(numbers) => self.give_named(index, has, &missing, numbers),
            Want::Pool(pool) => self.give_lowest(index, has, &missing, vec![*pool]),
            Want::Anything => {
                let automatic = (0..self.pools.len()).filter(|pool| !self.pools[*pool].manual);
                self.give_lowest(index, has, &missing, automatic.collect())
            }
        };
        let one_will_do =
            owner.families == Families::PreferBoth && matches!(owner.want, Want::Anything | Want::Pool(_));
        let granted = if one_will_do {
            next.iter().any(Option::is_some)
        } else {
            (0..2).filter(wanted).all(|family| next[family].is_some())
        };
        if !granted {
            next = has;
        }
        self.services.get_mut(&index).expect("it asks").has = next;
        granted
    }

    fn give_named(
        &self,
        index: usize,
        mut has: [Option<usize>; 2],
        missing: &[usize],
        numbers: &[usize; 2],
    ) -> [Option<usize>; 2] {
        for family in missing {
            let number = numbers[*family];
            let pool = self.blocks[*family][number / BLOCK];
            has[*family] = Some(number).filter(|number| self.gives(pool, *family, *number, index));
        }
        has
    }

    fn give_lowest(
        &self,
        index: usize,
        mut has: [Option<usize>; 2],
        missing: &[usize],
        mut pools: Vec<usize>,
    ) -> [Option<usize>; 2] {
        let lowest = |pool: usize, family: usize| {
            (0..BLOCKS[family] * BLOCK)
                .find(|n| self.blocks[family][n / BLOCK] == pool && self.gives(pool, family, *n, index))
        };
        let held_pool = (0..2).find_map(|family| has[family].map(|n| self.blocks[family][n / BLOCK]));
        pools.sort_by_key(|pool| (Some(*pool) != held_pool, *pool));
        let has_all = |pool: &usize| missing.iter().all(|family| lowest(*pool, *family).is_some());
        let whole = pools.iter().copied().find(has_all);
        for family in missing {
            let any = || pools.iter().copied().find(|pool| lowest(*pool, *family).is_some());
            has[*family] = whole.or_else(any).and_then(|pool| lowest(pool, *family));
        }
        has
    }

    fn keeps(&self, owner: &Owner, family: usize, number: usize) -> bool {
        let pool = self.blocks[family][number / BLOCK];
        let wanted = match &owner.want {
            Want::Anything => true,
            Want::Pool(wanted) => pool >= self.pools.len() || *wanted >= self.pools.len() || *wanted == pool,
            Want::Addresses(numbers) => numbers[family] == number,
        };
        owner.families.include(Families::ALL[family]) && wanted && (pool < self.pools.len() || self.grace)
    }

    fn gives(&self, pool: usize, family: usize, number: usize, to: usize) -> bool {
        let taken =
            self.services.iter().any(|(index, owner)| *index != to && owner.has[family] == Some(number));
        self.pools.get(pool).is_some_and(|pool| !pool.drain && number % BLOCK >= pool.excluded) && !taken
    }

    fn definitions(&self) -> Vec<PoolDefinition> {
        let ranges = |pool: usize, part: fn(usize) -> std::ops::Range<usize>| -> Vec<AddressRange> {
            let blocks = (0..2).flat_map(|family| (0..BLOCKS[family]).map(move |block| (family, block)));
            let own = blocks.filter(|(family, block)| self.blocks[*family][*block] == pool);
            own.flat_map(|(family, block)| {
                part(block).map(move |n| address(family, n).to_string().parse().expect("one"))
            })
            .collect()
        };
        let define = |(index, sketch): (usize, &PoolSketch)| PoolDefinition {
            name: format!("p{index}").into(),
            spec: IPAddressPoolSpec {
                auto_assign: !sketch.manual,
                drain: sketch.drain,
                ..IPAddressPoolSpec::default()
            },
            ranges: PoolRanges {
                addresses: ranges(index, |block| block * BLOCK..(block + 1) * BLOCK),
                excluded: match sketch.excluded {
                    0 => Vec::new(),
                    1 => ranges(index, |block| block * BLOCK..block * BLOCK + 1),
                    _ => ranges(index, |block| block * BLOCK..block * BLOCK + 2),
                },
            },
            ready: true,
        };
        self.pools.iter().enumerate().map(define).collect()
    }

    /// No address has two owners, and the ledger's counters are those of a recount.
    fn recount(&self, ledger: &Ledger) -> Result<(), TestCaseError> {
        let mut all: Vec<_> = self.services.values().flat_map(|owner| held(owner.has)).collect();
        all.sort_unstable();
        prop_assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", all);
        for pool in 0..self.pools.len() {
            let count = |family: usize, which: &dyn Fn(usize) -> bool| {
                (0..BLOCKS[family] * BLOCK)
                    .filter(|n| self.blocks[family][n / BLOCK] == pool && which(*n))
                    .count() as i64
            };
            let taken = |f: usize, n: usize| self.services.values().any(|owner| owner.has[f] == Some(n));
            let usage = ledger.usage(&format!("p{pool}")).expect("the pool exists");
            prop_assert_eq!(usage.assigned_v4, count(0, &|n| taken(0, n)));
            prop_assert_eq!(usage.assigned_v6, count(1, &|n| taken(1, n)));
            prop_assert_eq!(usage.available_v4, count(0, &|n| self.gives(pool, 0, n, SERVICES)));
            prop_assert_eq!(usage.available_v6, count(1, &|n| self.gives(pool, 1, n, SERVICES)));
        }
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let sketch = (any::<bool>(), prop::bool::weighted(0.2), 0..3usize)
        .prop_map(|(manual, drain, excluded)| PoolSketch { manual, drain, excluded });
    let blocks = BLOCKS.map(|blocks| prop::collection::vec(0..=POOLS, blocks));
    let families = prop_oneof![
        2 => Just(Families::One(Family::V4)),
        1 => Just(Families::One(Family::V6)),
        2 => Just(Families::PreferBoth),
        2 => Just(Families::RequireBoth),
    ];
    let want = prop_oneof![
        3 => Just(Want::Anything),
        1 => (0..=POOLS).prop_map(Want::Pool),
        2 => (0..BLOCKS[0] * BLOCK, 0..BLOCKS[1] * BLOCK).prop_map(|(v4, v6)| Want::Addresses([v4, v6])),
    ];
    prop_oneof![
        3 => (prop::collection::vec(sketch, 1..=POOLS), blocks).prop_map(|(pools, blocks)| Step::Pools(pools, blocks)),
        8 => (0..SERVICES, families, want).prop_map(|(index, families, want)| Step::Ask(index, families, want)),
        4 => (0..SERVICES).prop_map(Step::Again),
        3 => (0..SERVICES).prop_map(Step::Delete),
        1 => Just(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

fn request(index: usize, owner: &Owner, has: [Option<usize>; 2]) -> Request {
    let source = match &owner.want {
        Want::Anything => Source::Automatic,
        Want::Pool(pool) => Source::Pool(format!("p{pool}")),
        Want::Addresses(numbers) => {
            let named = (0..2).filter(|family| owner.families.include(Families::ALL[*family]));
            let addresses = named.map(|family| address(family, numbers[family])).collect::<Vec<_>>();
            Source::Addresses {
                addresses: Addresses::of(&addresses).expect("one of each family"),
                pool: None,
            }
        }
    };
    Request {
        service: key(index),
        created: jiff::Timestamp::UNIX_EPOCH,
        labels: BTreeMap::new(),
        held: held(has),
        held_from: owner.from.clone(),
        sharing: Arc::default(),
        wish: Ok(Wish { families: owner.families, source }),
    }
}

fn key(index: usize) -> ServiceKey {
    ServiceKey::new("default", &format!("s{index}"))
}

fn held(has: [Option<usize>; 2]) -> Vec<IpAddr> {
    (0..2).filter_map(|family| has[family].map(|number| address(family, number))).collect()
}

fn address(family: usize, number: usize) -> IpAddr {
    from_bits(Families::ALL[family], number as u128 + 1).expect("a small number")
}
