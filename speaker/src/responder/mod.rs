//! Which questions are answered when there are too many.
//!
//! Three bounds, each a token bucket without a counter: one for each asker and address, one for each asker, and one for
//! all of a link. What exceeds the first is not answered; a host that asks as the protocols tell it never does. The
//! second refuses nothing by itself: it tells who asked little lately. The third is far above what a segment asks when
//! nothing is wrong, and when it is short, who asked less lately goes first:
//!
//! ```text
//! tokens of the link   0 ............ 3/8 ...... 1/2 ........................... full
//! are left for         those who      newcomers  those who exceed their own rate
//!                      asked little   too        too
//! ```
//!
//! So a flood, from one address or a thousand, takes what others do not need, and a rebooted gateway that asks for every
//! address at once is answered.
//!
//! An asker is known by the Ethernet source of its frames. Both tables have a fixed size, and whatever the wire brings,
//! an asker that is forgotten loses little: of pairs the one that asked least is forgotten, which starts again with no
//! debt; of askers the one that differs least from a newcomer, so that a flood from ever new addresses displaces only
//! itself. Who is new while such a flood lasts competes with it.
//!
//! A question costs constant time and no memory. Those that the kernel drops because the speaker is too slow to receive
//! them are lost before; the [lanes of its sockets](crate::net::FrameSocket) keep that to the flooder's neighbours.

mod slots;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::jitter::mix;
use crate::wire::Mac;
use slots::Slots;

/// Answers a second for one asker and address, in the long run. A resolver asks once a second (RFC 4861 section 10,
/// RFC 1122 section 2.3.2.1), a watching peer up to 20 times, and who measures a take-over up to 100.
const PAIR_RATE: u64 = 100;
/// How many of those may come at once: several hosts behind one router, or a retry after a restart.
const PAIR_BURST: u64 = 40;
/// Pairs that are remembered for each link. More can be told apart only by who asks.
const PAIRS: usize = 1024;

/// Questions a second by which an asker stays one that asks little. A watching peer asks ten times.
const SOURCE_RATE: u64 = 12;
/// How many questions at once make of one that asks little one that asks much.
const SOURCE_BURST: u64 = 240;
/// Askers that are remembered for each link.
const SOURCES: usize = 4096;

/// Answers a second on one link: less than a quarter of what a core can send.
const TOTAL_RATE: u64 = 50_000;
/// How many of those may come at once. Half of them are for a single asker that exceeds its rate, which is enough for a
/// gateway that asks for 10 000 addresses after a restart, twice over.
const TOTAL_BURST: u64 = 50_000;

// Otherwise askers that all stay within their own rate could use up what is left for newcomers and for each other.
const _: () = assert!(SOURCES as u64 * SOURCE_RATE <= TOTAL_RATE);

const PAIR: Limit = Limit::new(PAIR_RATE, PAIR_BURST);
const SOURCE: Limit = Limit::new(SOURCE_RATE, SOURCE_BURST);
const TOTAL: Limit = Limit::new(TOTAL_RATE, TOTAL_BURST);

/// The debt with which an asker begins. It is nearer to that of the worst asker than to none, so that a flooder is
/// forgotten before one that asks little.
const NEWCOMER: u64 = SOURCE.depth / 4 * 3;

/// What turns the debt of an asker into that part of the total which it leaves to others: half of it at most.
const LEFT_SHARE: u64 = (2 * SOURCE.depth).div_ceil(TOTAL.depth);

/// Decides for one link. Times inside are nanoseconds since it was made.
#[derive(Debug)]
pub struct Responder {
    seed: u64,
    epoch: Instant,
    pairs: Slots,
    sources: Slots,
    total: u64,
}

/// A token bucket as a debt that wears off: each answer adds the interval to it, and time takes it away.
#[derive(Clone, Copy, Debug)]
struct Limit {
    interval: u64,
    /// The debt that is allowed.
    depth: u64,
}

impl Responder {
    /// A responder that has heard nobody. `seed` makes it differ from other nodes' in who shares a place with whom.
    pub fn new(seed: u64, now: Instant) -> Self {
        Self { seed, epoch: now, pairs: Slots::new(PAIRS), sources: Slots::new(SOURCES), total: 0 }
    }

    /// Whether a question for an address is to be answered now; it is held to be answered then.
    pub fn admit(&mut self, source: Mac, address: IpAddr, now: Instant) -> bool {
        let now = nanoseconds(now.saturating_duration_since(self.epoch));
        let (source, pair) = self.keys(source, address);
        let pair_paid = self.pairs.get(pair).unwrap_or(0);
        let source_paid = self.sources.get(source).unwrap_or(now + NEWCOMER);
        // Who asked most may use half of what there is, who asked little all of it.
        let left_to_others = debt(source_paid, now).min(SOURCE.depth) / LEFT_SHARE;
        if debt(pair_paid, now) + PAIR.interval > PAIR.depth
            || debt(self.total, now) + TOTAL.interval + left_to_others > TOTAL.depth
        {
            return false;
        }
        self.total = self.total.max(now) + TOTAL.interval;
        self.pairs.put(pair, pair_paid.max(now) + PAIR.interval, |paid| (paid, 0));
        let source_paid = (source_paid.max(now) + SOURCE.interval).min(now + SOURCE.depth);
        self.sources.put(source, source_paid, |paid| (debt(paid, now).abs_diff(NEWCOMER), paid));
        true
    }

    /// What the tables know an asker and a pair by. No text of the wire makes two askers the same; two pairs may be by
    /// chance, once in 2⁶⁴.
    fn keys(&self, Mac(source): Mac, address: IpAddr) -> (u64, u64) {
        let [a, b, c, d, e, f] = source;
        let source = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let [high, low] = match address {
            IpAddr::V4(address) => [0, address.to_bits().into()],
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                [(bits >> 64) as u64, (bits & u128::from(u64::MAX)) as u64]
            }
        };
        let source = mix(self.seed ^ source);
        (source, mix(mix(source ^ high) ^ low))
    }
}

impl Limit {
    const fn new(rate: u64, burst: u64) -> Self {
        let interval = 1_000_000_000 / rate;
        Self { interval, depth: burst * interval }
    }
}

/// What is still to be paid of what is paid at a time.
fn debt(paid: u64, now: u64) -> u64 {
    paid.saturating_sub(now)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}
