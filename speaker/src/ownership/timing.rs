//! How long what takes. The defaults are for wired segments.

use std::time::Duration;

/// All times of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A watcher asks an owner this often, about one of its addresses in turn; who asks a supposed owner waits so long.
    pub question: Duration,
    /// After a question that was not answered before the next, it asks this often; so long nothing is believed after a
    /// pause, as others may have been held up as well.
    pub doubtful_question: Duration,
    /// So many questions in a row have to go unanswered before others are told.
    pub misses: u32,
    /// A node waits this much longer for every better candidate.
    pub rank: Duration,
    /// How long a probe waits for its answer.
    pub probe: Duration,
    /// The probes of somebody who takes an address that nobody was known to have.
    pub placement_probes: u8,
    /// A watched owner that nobody asked for so long is in doubt; a probe shows doubt for as long.
    pub unasked: Duration,
    /// An owner in doubt, and a node that covers, probe this often.
    pub reprobe: Duration,
    /// What an owner has is asked of everybody this often, an address at a time.
    pub audit: Duration,
    /// A process that could not run for so long can't know what happened meanwhile.
    pub pause: Duration,
    /// A peer that is silent is asked this often.
    pub presence_silent: Duration,
    /// A peer that answers is asked this often.
    pub presence: Duration,
    /// A peer that was never heard is waited for so long after it appeared before it counts as one that can't be
    /// heard.
    pub unheard: Duration,
    /// Before any other host was heard nothing is claimed for so long after a link came up.
    pub deaf: Duration,
    /// Between the offers to one successor; there are three.
    pub offer: Duration,
    /// An offer that nobody took is made again after so long.
    pub offer_again: Duration,
    /// A preferred node takes over once it was usable for so long; doubled with each time that it was not.
    pub preference: Duration,
    /// For so long after an address was placed first it moves to a better candidate that was none then.
    pub settling: Duration,
    /// An address that a stranger answers for is probed this often, and defended this often at most.
    pub conflict: Duration,
    /// A speaker that stops waits at most so long for somebody to cover for it.
    pub farewell: Duration,
    /// A speaker that leaves has so long to hand over.
    pub leave: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            question: ms(100),
            doubtful_question: ms(50),
            misses: 3,
            rank: ms(150),
            probe: ms(20),
            placement_probes: 2,
            unasked: ms(1500),
            reprobe: ms(1000),
            audit: ms(5000),
            pause: ms(1000),
            presence_silent: ms(1000),
            presence: ms(30_000),
            unheard: ms(3000),
            deaf: ms(30_000),
            offer: ms(100),
            offer_again: ms(5000),
            preference: ms(60_000),
            settling: ms(30_000),
            conflict: ms(10_000),
            farewell: ms(1000),
            leave: ms(5000),
        }
    }
}
