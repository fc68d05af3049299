//! Ways to break the protocol on purpose, each of which the invariants have to find.

use std::fmt;

use ferrolb_speaker::ownership::Machine;
#[cfg(feature = "mutations")]
use ferrolb_speaker::ownership::Mutation as Rule;

/// A way to break the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mutation {
    name: &'static str,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The machine forgets a rule.
    #[cfg(feature = "mutations")]
    Rule(Rule),
    /// A node takes its own renewals for written that never were, so that expiry clocks run on in an outage.
    ExpiryClock,
}

/// All of them.
pub(crate) const ALL: &[Mutation] = &[
    Mutation { name: "expiry-clock", way: Way::ExpiryClock },
    #[cfg(feature = "mutations")]
    Mutation { name: "covering-check", way: Way::Rule(Rule::CoveringCheck) },
    #[cfg(feature = "mutations")]
    Mutation { name: "rank-delay", way: Way::Rule(Rule::RankDelay) },
    #[cfg(feature = "mutations")]
    Mutation { name: "pairwise-tie", way: Way::Rule(Rule::PairwiseTie) },
    #[cfg(feature = "mutations")]
    Mutation { name: "pause-doubt", way: Way::Rule(Rule::PauseDoubt) },
    #[cfg(feature = "mutations")]
    Mutation { name: "offer-repetition", way: Way::Rule(Rule::OfferRepetition) },
    #[cfg(feature = "mutations")]
    Mutation { name: "heard-rule", way: Way::Rule(Rule::HeardRule) },
    #[cfg(feature = "mutations")]
    Mutation { name: "own-link", way: Way::Rule(Rule::OwnLink) },
];

impl Mutation {
    /// Breaks a machine, if it is the machine that is broken.
    pub(crate) fn apply(self, machine: &mut Machine) {
        match self.way {
            #[cfg(feature = "mutations")]
            Way::Rule(rule) => machine.break_rule(rule),
            Way::ExpiryClock => _ = machine,
        }
    }

    pub(crate) fn runs_clocks_on(self) -> bool {
        self.way == Way::ExpiryClock
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|mutation| mutation.name == name)
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}
