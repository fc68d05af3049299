//! Who answers for many addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use super::frames::{Asker, Mac};
use super::resolve::Answer;
use super::tap::Tap;
use crate::clock;
use crate::host::Host;
use crate::plan::PROBE;
use crate::segment::INTERFACE;

/// How long the thread waits for a frame before it looks at the clock.
const TURN: Duration = Duration::from_millis(1);
/// How long answers are awaited after the last question.
const GRACE: Duration = Duration::from_millis(300);

/// Asks once for each address, as [`super::ResolveProbe`] does, one every `pace`, and returns all answers that came until
/// 300 ms after the last question.
pub fn census(host: &Host, addresses: &[IpAddr], pace: Duration) -> Result<BTreeMap<IpAddr, Vec<Answer>>> {
    host.run(|| {
        let asker = Asker { mac: Mac(PROBE.mac), v4: PROBE.v4, v6: PROBE.v6 };
        let mut tap = Tap::open(INTERFACE, TURN)?;
        let mut answers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut questions = addresses.iter();
        let mut next = clock::now();
        let mut end = next + GRACE;
        loop {
            let now = clock::now();
            if now >= next
                && let Some(address) = questions.next()
            {
                tap.send(&asker.question(*address));
                (next, end) = ((next + pace).max(now), now + GRACE);
            }
            if questions.len() == 0 && now >= end {
                return Ok(answers);
            }
            if let Some((address, mac, source)) = tap.receive()?.and_then(|frame| asker.any_answer(frame)) {
                answers.entry(address).or_default().push(Answer { at: clock::now(), mac, source });
            }
        }
    })?
}
