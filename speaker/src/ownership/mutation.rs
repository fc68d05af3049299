//! Ways to break the protocol on purpose, so that a test can show that it would notice.

use super::machine::Machine;

/// A rule that a machine forgets. Without the feature `mutations` it forgets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Whoever covers does not ask whether somebody else answers, neither before nor every second.
    CoveringCheck,
    /// Nobody waits for better candidates.
    RankDelay,
    /// Of two owners that are equally sure, neither yields.
    PairwiseTie,
    /// A pause of the process goes unnoticed.
    PauseDoubt,
    /// An offer is made once.
    OfferRepetition,
    /// Candidates that were never heard do not count.
    HeardRule,
    /// That nobody answers is never taken for a fault of the own link.
    OwnLink,
}

impl Machine {
    /// Has the machine forget a rule.
    #[cfg(feature = "mutations")]
    pub fn break_rule(&mut self, mutation: Mutation) {
        self.mutation = Some(mutation);
    }

    #[cfg(feature = "mutations")]
    pub(super) fn breaks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    #[cfg(not(feature = "mutations"))]
    pub(super) const fn breaks(&self, _: Mutation) -> bool {
        false
    }
}
