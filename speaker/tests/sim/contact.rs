//! Who could hear whom, and until when not.

use crate::network::Port;
use crate::world::World;

/// What a node can't have missed it knows after so long, in microseconds.
const KNOWN: u64 = 3_000_000;
/// A host that was heard within this time should be heard again when it is asked, in microseconds.
const THIRD_HOST: u64 = 29_000_000;

/// Who hears another one for less than this may not learn of it, in microseconds.
const BRIEF: u64 = 500_000;

#[derive(Clone, Copy, Debug)]
enum Pair {
    Heard {
        since: u64,
        /// Since when they did not before.
        lost: u64,
    },
    Lost(u64),
}

/// Who could hear whom, in microseconds. A node that does not run is not heard, and hears nobody.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    /// For each pair of nodes, since when they hear each other, or don't.
    pairs: Vec<Vec<Pair>>,
    /// Since when a node hears no other host at all, though there is one.
    alone_since: Vec<Option<u64>>,
}

impl Contact {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { pairs: vec![vec![Pair::Lost(0); nodes]; nodes], alone_since: vec![None; nodes] }
    }

    /// Takes up who is connected now.
    pub(crate) fn update(&mut self, world: &World) {
        let runs = |port: Port| world.nodes[port].runs();
        let hears = |by: Port, of: Port| runs(by) && runs(of) && world.network.hears(of, by);
        for by in 0..world.nodes.len() {
            for of in 0..world.nodes.len() {
                let pair = &mut self.pairs[by][of];
                *pair = match (*pair, hears(by, of)) {
                    (Pair::Lost(lost), true) => Pair::Heard { since: world.now, lost },
                    (Pair::Heard { since, lost }, false) if world.now < since + BRIEF => Pair::Lost(lost),
                    (Pair::Heard { .. }, false) => Pair::Lost(world.now),
                    (same, _) => same,
                };
            }
            let client = world.client_speaks && world.network.hears(world.client, by);
            let stranger = world.stranger.is_some() && world.network.hears(world.client + 1, by);
            let hears_nobody = !client && !stranger && (0..world.nodes.len()).all(|of| !hears(by, of));
            self.alone_since[by] = hears_nobody.then(|| self.alone_since[by].unwrap_or(world.now));
        }
    }

    /// Whether a node may hold another one to be silent on the wire.
    pub(crate) fn may_be_silent(&self, by: Port, of: Port, now: u64) -> bool {
        match self.pairs[by][of] {
            Pair::Heard { since, .. } => now < since + KNOWN,
            Pair::Lost(_) => true,
        }
    }

    /// Whether two nodes have heard each other for long enough to know of each other.
    pub(crate) fn is_certain(&self, by: Port, of: Port, now: u64) -> bool {
        !self.may_be_silent(by, of, now)
    }

    /// Whether a node hears nobody since another one fell silent, and must know that this may be its own fault.
    pub(crate) fn is_alone(&self, world: &World, by: Port, of: Port) -> bool {
        let before = |since| matches!(self.pairs[by][of], Pair::Lost(lost) if lost < since);
        let heard_another = |since: u64| {
            let speaker = world.nodes[by].speaker.as_ref();
            speaker.is_some_and(|speaker| speaker.heard_another(of, since.saturating_sub(THIRD_HOST)))
        };
        self.alone_since[by]
            .is_some_and(|since| world.now < since + THIRD_HOST && !before(since) && heard_another(since))
    }
}
