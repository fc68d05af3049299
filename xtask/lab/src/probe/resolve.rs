//! Who answers for an address.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::frames::{Asker, Mac};
use super::tap::Tap;
use super::timeline::{Gap, longest_gap};
use super::{PERIOD, Recorder, Worker};
use crate::clock;
use crate::host::Host;
use crate::plan::PROBE;
use crate::segment::INTERFACE;

/// How long the thread waits for a frame before it looks at the clock.
const TURN: Duration = Duration::from_millis(4);

/// An answer to a question of the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When it came.
    pub at: Instant,
    /// Who receives traffic: ARP's sender hardware address, or NDP's target link-layer address.
    pub mac: Mac,
    /// Who spoke: the Ethernet source.
    pub source: Mac,
}

/// Asks every 20 ms by broadcast who has an address.
///
/// It asks as a host of its own, `192.168.1.4` and `fd00:192:168:1::4` with a hardware address to match, so that neither
/// questions nor answers touch the neighbour cache of the host that it runs on.
#[derive(Debug)]
pub struct ResolveProbe(Worker<Answer>);

/// What a [`ResolveProbe`] saw.
#[derive(Debug, Clone)]
pub struct Resolutions {
    /// All answers, in the order in which they came.
    pub answers: Vec<Answer>,
    /// From the start of the probe to its end.
    pub span: Range<Instant>,
}

impl ResolveProbe {
    /// Starts asking from a host.
    pub fn start(host: &Host, address: IpAddr) -> Result<Self> {
        Self::begin(PERIOD, host, INTERFACE, address)
    }

    /// Starts asking from a host, in another period.
    pub fn start_every(period: Duration, host: &Host, address: IpAddr) -> Result<Self> {
        Self::begin(period, host, INTERFACE, address)
    }

    /// Starts asking from a host by another interface than its first.
    pub fn start_on(host: &Host, interface: &str, address: IpAddr) -> Result<Self> {
        Self::begin(PERIOD, host, interface, address)
    }

    fn begin(period: Duration, host: &Host, interface: &str, address: IpAddr) -> Result<Self> {
        let turn = TURN.min(period / 2);
        let interface = interface.to_owned();
        let worker = Worker::start(
            host,
            move || Tap::open(&interface, turn),
            move |mut tap, recorder| ask(period, address, &mut tap, &recorder),
        )?;
        Ok(Self(worker))
    }

    /// The answers so far.
    pub fn answers(&self) -> Vec<Answer> {
        self.0.samples()
    }

    /// Stops asking.
    pub fn stop(self) -> Result<Resolutions> {
        let (answers, span) = self.0.stop()?;
        Ok(Resolutions { answers, span })
    }
}

impl Resolutions {
    /// The longest time without an answer.
    pub fn longest_gap(&self) -> Gap {
        longest_gap(&self.span, self.answers.iter().map(|answer| answer.at))
    }

    /// Every hardware address that was named.
    pub fn macs(&self) -> BTreeSet<Mac> {
        self.answers.iter().map(|answer| answer.mac).collect()
    }
}

fn ask(period: Duration, address: IpAddr, tap: &mut Tap, recorder: &Recorder<Answer>) -> Result<()> {
    let asker = Asker { mac: Mac(PROBE.mac), v4: PROBE.v4, v6: PROBE.v6 };
    let question = asker.question(address);
    let mut next = clock::now();
    while !recorder.is_stopped() {
        let now = clock::now();
        if now >= next {
            tap.send(&question);
            next = (next + period).max(now);
        }
        if let Some((mac, source)) = tap.receive()?.and_then(|frame| asker.answer(address, frame)) {
            recorder.record(Answer { at: clock::now(), mac, source });
        }
    }
    Ok(())
}
