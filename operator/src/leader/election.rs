//! Whose Lease it is, and what to ask the API server next: the protocol of Kubernetes' own components.
//!
//! Wall clocks are never compared. A candidate waits until the Lease has not changed for its whole duration, as its
//! own clock counts from the moment at which it saw the last change, which is after that change was made. A leader
//! leads until a deadline shorter than that, counted from the moment before it sent its last renewal, which is
//! before that change was made. So a leader has ceased to lead when a candidate takes over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::record::{Record, Versioned};

/// How long a released Lease lasts, for what reads durations only.
const RELEASED: Duration = Duration::from_secs(1);

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long others wait after the last change of the Lease.
    pub duration: Duration,
    /// How long a leader leads after it sent its last renewal: less than the duration.
    pub renew_deadline: Duration,
    /// From one request to the next.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// What to ask the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the Lease.
    Read,
    /// Create the Lease.
    Create(Record),
    /// Replace this version of the Lease.
    Replace(String, Record),
}

/// What has come of the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// We lead, until then unless the Lease is renewed.
    Elected {
        /// The end.
        until: Instant,
        /// How often the leader has changed.
        transitions: i32,
    },
    /// We lead for longer.
    Renewed {
        /// The end.
        until: Instant,
    },
    /// We lead no more.
    Lost(Loss),
}

/// Why a leader leads no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No renewal succeeded by the deadline.
    Deadline,
    /// The Lease names another holder, or none.
    Taken(String),
}

/// One candidate's view of the election.
#[derive(Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    /// The Lease as last read or written.
    lease: Option<Versioned>,
    /// How long what was last seen of a holder keeps others away.
    held_until: Option<Instant>,
    /// When we cease to lead.
    leads_until: Option<Instant>,
    /// Whether the Lease may be written as it is known.
    may_write: bool,
    /// Whether a request is on its way.
    is_asking: bool,
    next: Instant,
    events: VecDeque<Event>,
}

impl Election {
    /// An election that knows nothing of the Lease yet.
    pub fn new(identity: String, timing: Timing, now: Instant) -> Self {
        Self {
            identity,
            timing,
            lease: None,
            held_until: None,
            leads_until: None,
            may_write: false,
            is_asking: false,
            next: now,
            events: VecDeque::new(),
        }
    }

    /// Whether we lead.
    pub fn leads(&self, now: Instant) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    /// Who else has the Lease, for all that is known.
    pub fn other_leader(&self) -> Option<&str> {
        let holder = self.lease.as_ref().map(|lease| &*lease.record.holder);
        holder.filter(|holder| !holder.is_empty() && *holder != self.identity)
    }

    /// What to ask now; one of the answers has to be handled before there is more to ask.
    pub fn poll_request(&mut self, now: Instant) -> Option<Request> {
        if self.is_asking || now < self.next {
            return None;
        }
        self.is_asking = true;
        self.next = now + self.timing.retry_period;
        if !std::mem::take(&mut self.may_write) {
            return Some(Request::Read);
        }
        let mut record = Record {
            holder: self.identity.clone(),
            duration: Some(self.timing.duration),
            acquired: None,
            transitions: 0,
        };
        let Some(Versioned { version, record: known }) = &self.lease else {
            return Some(Request::Create(record));
        };
        if known.holder == self.identity {
            (record.acquired, record.transitions) = (known.acquired, known.transitions);
        } else {
            record.transitions = known.transitions.saturating_add(1);
        }
        Some(Request::Replace(version.clone(), record))
    }

    /// How long the answer to a request may take that is sent now.
    pub fn patience(&self, now: Instant) -> Duration {
        let half = self.timing.renew_deadline / 2;
        self.leads_until.map_or(half, |until| half.min(until.saturating_duration_since(now)))
    }

    /// Takes in what was read; `None` if there is no Lease.
    pub fn handle_read(&mut self, found: Option<Versioned>, now: Instant) {
        self.handle_timeout(now);
        self.is_asking = false;
        if let Some(found) = &found {
            let record = &found.record;
            if self.lease.as_ref().is_none_or(|known| known.version != found.version) {
                self.held_until = Some(now + record.duration.unwrap_or(self.timing.duration));
            }
            if record.holder.is_empty() || record.holder == self.identity {
                self.held_until = None;
            }
            if record.holder != self.identity && self.leads_until.is_some() {
                self.lose(Loss::Taken(record.holder.clone()));
            }
        }
        // A Lease that somebody has deleted still keeps others away for as long as it would have, if it was seen.
        self.lease = found;
        self.may_write = self.leads_until.is_some() || self.held_until.is_none_or(|until| until <= now);
        if self.may_write {
            self.next = now;
        }
    }

    /// Takes in that a write was made, whose request was sent then; this is the Lease now.
    pub fn handle_written(&mut self, written: Versioned, sent: Instant, now: Instant) {
        self.handle_timeout(now);
        self.is_asking = false;
        self.may_write = true;
        self.held_until = None;
        let transitions = written.record.transitions;
        self.lease = Some(written);
        let until = sent + self.timing.renew_deadline;
        if until <= now {
            return;
        }
        let event = match self.leads_until.replace(until) {
            Some(_) => Event::Renewed { until },
            None => Event::Elected { until, transitions },
        };
        self.events.push_back(event);
    }

    /// Takes in that the Lease was not as it was known, that there was an error, or no answer: a write may have been
    /// made or not.
    pub fn handle_failure(&mut self, now: Instant) {
        self.handle_timeout(now);
        self.is_asking = false;
    }

    /// What has come of it, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] and [`Self::poll_request`] have to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = (!self.is_asking).then_some(self.next);
        next.into_iter().chain(self.leads_until).min()
    }

    /// Ceases to lead, if it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.leads_until.is_some_and(|until| until <= now) {
            self.lose(Loss::Deadline);
        }
    }

    /// Ceases to lead of our own accord, and says what to write for others to begin at once.
    pub fn release(&mut self) -> Option<Request> {
        (self.leads_until, self.may_write) = (None, false);
        let lease = self.lease.as_ref().filter(|lease| lease.record.holder == self.identity)?;
        let record = Record { holder: String::new(), duration: Some(RELEASED), ..lease.record.clone() };
        Some(Request::Replace(lease.version.clone(), record))
    }

    fn lose(&mut self, loss: Loss) {
        self.leads_until = None;
        self.events.push_back(Event::Lost(loss));
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
