//! How faults are done, and how they end.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_crds::lease::{MIN_PERIOD, PERIODS};
use ferrolb_speaker::ownership::Stop;
use ferrolb_speaker::wire::Arp;

use crate::agenda::Happening;
use crate::api::CLOCKS_STOP;
use crate::check::Checks;
use crate::fault::{CRASHES, Fault};
use crate::network::{Port, mac};
use crate::node::{Speaker, id};
use crate::world::World;

/// A speaker that stops has ended by then, and its next process can start.
const FAREWELL: Duration = Duration::from_millis(1001);
/// From power to a running speaker.
const BOOT: Duration = Duration::from_secs(2);
/// What a speaker answers is looked at for so long after a pause, in microseconds.
const WAKENED: u64 = 1_500_000;

impl World {
    pub(crate) fn strike(&mut self, fault: Fault) {
        self.note(|| format!("FAULT {fault:?}"));
        self.check(|checks, world| checks.struck(world, fault));
        match fault {
            Fault::PowerOff(port) => self.power_off(port),
            Fault::Reboot(port, long) => {
                self.power_off(port);
                self.after(long, Happening::PowerOn(port));
            }
            Fault::Suspend { node, long, unnoticed } => {
                self.nodes[node].suspended.get_or_insert(self.now);
                self.after(long, Happening::Resume(node, unnoticed));
            }
            Fault::Cut(port, long) => {
                self.network.cut[port] = true;
                self.after(long, Happening::Mend(port));
            }
            Fault::Kill(port, long) => {
                self.nodes[port].speaker = None;
                self.after(long, Happening::Start(port));
            }
            Fault::CrashLoop(port, times) => self.crash(port, times),
            Fault::Restart(port, long) => self.restart(port, long),
            Fault::Roll(every) => {
                for (place, port) in (0..self.nodes.len()).enumerate() {
                    let restart = Fault::Restart(port, Duration::from_millis(400));
                    self.after(every * u32::try_from(place).unwrap_or(0), Happening::Fault(restart));
                }
            }
            Fault::Freeze(port, long) => {
                if let Some(speaker) = &mut self.nodes[port].speaker {
                    speaker.frozen.get_or_insert_with(VecDeque::new);
                    self.after(long, Happening::Thaw(port));
                }
            }
            Fault::Exclude { node, lost } => {
                self.network.lost_offers = self.addresses.iter().map(|it| (*it, lost)).collect();
                self.api.excluded |= 1 << node;
                if self.api.down.is_none() {
                    self.show_all();
                }
            }
            Fault::Leave(port) => self.stop(port, Stop::Leave),
            Fault::Split(from, long) => {
                for port in from..self.nodes.len() {
                    self.network.part[port] = 1;
                }
                self.after(long, Happening::Unite);
            }
            Fault::Outage(long) => {
                self.api.down.get_or_insert(self.now);
                self.after(long, Happening::ApiBack);
            }
            Fault::Stranger(address, long) => {
                self.stranger = Some(address);
                let port = self.client + 1;
                if let IpAddr::V4(address) = self.addresses[address] {
                    self.transmit(port, &Arp::announcement(mac(port), address));
                }
                self.after(long, Happening::StrangerGone);
            }
            Fault::Isolate => self.network.isolated[..self.nodes.len()].fill(true),
            Fault::Join => self.after(Duration::ZERO, Happening::Start(self.nodes.len() - 1)),
        }
        self.changed();
    }

    fn power_off(&mut self, port: Port) {
        let node = &mut self.nodes[port];
        (node.up, node.speaker) = (false, None);
    }

    pub(crate) fn power_on(&mut self, port: Port) {
        self.note(|| format!("node-{port} has power again"));
        self.nodes[port].up = true;
        self.after(BOOT, Happening::Start(port));
        self.changed();
    }

    pub(crate) fn crash(&mut self, port: Port, left: u32) {
        self.note(|| format!("node-{port}'s speaker crashes"));
        self.nodes[port].speaker = None;
        self.after(CRASHES.0, Happening::Start(port));
        if left > 1 {
            self.after(CRASHES.0 + CRASHES.1, Happening::Crash(port, left - 1));
        }
        self.changed();
    }

    fn restart(&mut self, port: Port, long: Duration) {
        if self.nodes[port].running().is_none() {
            return;
        }
        self.keep_lease(port);
        self.stop(port, Stop::Restart);
        self.after(FAREWELL + long, Happening::Start(port));
    }

    fn stop(&mut self, port: Port, why: Stop) {
        self.with(port, |speaker, _, now| {
            if speaker.stopping {
                return;
            }
            speaker.stopping = true;
            speaker.leaves = why == Stop::Leave;
            speaker.machine.stop(why, now);
        });
    }

    /// A speaker has done what it could before it ends.
    pub(crate) fn stopped(&mut self, port: Port) {
        self.note(|| format!("node-{port}'s speaker has stopped"));
        let speaker = self.nodes[port].speaker.take();
        if speaker.is_some_and(|speaker| speaker.leaves) {
            self.write_lease(port, Duration::ZERO);
        }
        self.changed();
    }

    pub(crate) fn start(&mut self, port: Port) {
        let node = &self.nodes[port];
        if !node.up || node.speaker.is_some() {
            return;
        }
        if self.api.down.is_some() || !node.runs() {
            self.after(Duration::from_secs(1), Happening::Start(port));
            return;
        }
        self.note(|| format!("node-{port} starts a speaker"));
        let hints: HashMap<IpAddr, _> =
            self.api.owners.iter().map(|(&address, &owner)| (address, id(port, owner))).collect();
        let now = self.local(port);
        let seed = self.seed.wrapping_mul(31).wrapping_add(self.now).wrapping_add(port as u64);
        let mut speaker = Speaker::start(port, seed, self.timing.clone(), self.gateway, hints, now);
        if let Some(mutation) = self.mutation {
            mutation.apply(&mut speaker.machine);
        }
        let node = &mut self.nodes[port];
        node.speaker = Some(speaker);
        node.started += 1;
        let start = node.started;
        self.write_lease(port, MIN_PERIOD * PERIODS);
        self.show(port);
        self.after(MIN_PERIOD, Happening::Renew(port, start));
        self.changed();
    }

    pub(crate) fn thaw(&mut self, port: Port) {
        let Some(speaker) = &mut self.nodes[port].speaker else { return };
        let Some(frames) = speaker.frozen.take() else { return };
        speaker.wakened = self.now + WAKENED;
        self.note(|| format!("node-{port} runs again"));
        let at = self.now;
        self.with(port, |speaker, _, now| {
            for frame in frames {
                speaker.hear(&frame, at, now);
            }
            speaker.machine.handle_timeout(now);
        });
        self.show(port);
        self.changed();
    }

    pub(crate) fn resume(&mut self, port: Port, unnoticed: bool) {
        let Some(since) = self.nodes[port].suspended.take() else { return };
        self.note(|| format!("node-{port} goes on"));
        if unnoticed {
            self.nodes[port].stood += self.now - since;
            self.check(Checks::healed);
        } else if self.now - since < 1_200_000 {
            self.check(Checks::healed);
        }
        if let Some(speaker) = &mut self.nodes[port].speaker {
            (speaker.wakened, speaker.wake) = (self.now + WAKENED, None);
        }
        self.with(port, |speaker, _, now| speaker.machine.handle_timeout(now));
        self.changed();
    }

    pub(crate) fn mend(&mut self, port: Port) {
        self.note(|| format!("node-{port}'s link works again"));
        self.network.cut[port] = false;
        self.check(Checks::healed);
        self.changed();
    }

    pub(crate) fn unite(&mut self) {
        self.note(|| "the segment is one again".to_owned());
        self.network.part.fill(0);
        self.check(Checks::healed);
        self.changed();
    }

    pub(crate) fn api_back(&mut self) {
        let Some(since) = self.api.down.take() else { return };
        self.note(|| "the API server is back".to_owned());
        if self.now - since >= CLOCKS_STOP {
            self.api.recovered = self.now;
        }
        self.show_all();
    }
}
