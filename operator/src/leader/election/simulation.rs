//! Two candidates, one Lease, and a network and machines that do them every wrong.

use proptest::prelude::*;

use super::super::tenure::Tenure;
use super::*;

/// The step of the simulation.
const STEP: Duration = Duration::from_millis(100);
/// The longest time in which nobody leads once all goes well: one who leads no more, a whole duration, two turns,
/// and clocks that go wrong by a fifth.
const RECOVERY: Duration = Duration::from_secs(40);

/// What goes wrong, from one moment on.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A candidate stands still, then runs on with what it has on its way.
    Freeze(usize, u32),
    /// A candidate's requests or, if not, their answers are lost.
    Lose(usize, bool, u32),
    /// Requests of a candidate take that many steps, and so do answers.
    Delay(usize, u32),
    /// A candidate lets it go, if it leads.
    Release(usize),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn never_do_two_lead_and_in_the_end_one_does(
        faults in prop::collection::vec((0_u32..300, fault()), 0..24),
        rates in [0.9_f64..1.1, 0.9_f64..1.1],
    ) {
        let mut world = World::new(rates);
        for (pause, fault) in faults {
            for _ in 0..pause {
                world.step()?;
            }
            world.suffer(fault);
        }
        world.heal();
        let end = world.time + RECOVERY;
        while world.time < end {
            world.step()?;
        }
        prop_assert_eq!(world.leaders().count(), 1, "nobody leads: {:?}", world);
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let who = 0..2_usize;
    prop_oneof![
        (who.clone(), 0..400_u32).prop_map(|(who, steps)| Fault::Freeze(who, steps)),
        (who.clone(), any::<bool>(), 0..300_u32)
            .prop_map(|(who, asked, steps)| Fault::Lose(who, asked, steps)),
        (who.clone(), 0..30_u32).prop_map(|(who, steps)| Fault::Delay(who, steps)),
        who.prop_map(Fault::Release),
    ]
}

#[derive(Debug)]
struct World {
    start: Instant,
    /// Time since the start, as it really passes.
    time: Duration,
    lease: Option<Versioned>,
    versions: u64,
    candidates: [Machine; 2],
}

/// A machine with its clock, and a candidate on it.
#[derive(Debug)]
struct Machine {
    election: Election,
    tenure: Option<Tenure>,
    /// How fast its clock goes.
    rate: f64,
    frozen: u32,
    loses: Option<(bool, u32)>,
    delay: u32,
    asked: Option<Asked>,
}

/// A request on its way.
#[derive(Debug)]
struct Asked {
    request: Request,
    sent: Instant,
    deadline: Instant,
    arrives: u32,
    answers: u32,
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
enum Answer {
    Read(Option<Versioned>),
    Written(Versioned),
    Conflict,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the first Instant has to come from somewhere")]
    fn new(rates: [f64; 2]) -> Self {
        let start = Instant::now();
        let machine = |(number, rate): (usize, f64)| Machine {
            election: Election::new(format!("candidate-{number}"), Timing::default(), start),
            tenure: None,
            rate,
            frozen: 0,
            loses: None,
            delay: 0,
            asked: None,
        };
        let [first, second] = rates;
        let candidates = [(0, first), (1, second)].map(machine);
        Self { start, time: Duration::ZERO, lease: None, versions: 0, candidates }
    }

    fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::Freeze(who, steps) => self.candidates[who].frozen = steps,
            Fault::Lose(who, asked, steps) => self.candidates[who].loses = Some((asked, steps)),
            Fault::Delay(who, steps) => self.candidates[who].delay = steps,
            Fault::Release(who) => self.release(who),
        }
    }

    /// A release that is answered at once, as the process that makes it ends.
    fn release(&mut self, who: usize) {
        let now = self.candidates[who].clock(self.start, self.time);
        let machine = &mut self.candidates[who];
        if machine.frozen > 0 || !machine.election.leads(now) {
            return;
        }
        machine.tenure = None;
        machine.asked = None;
        let request = machine.election.release();
        machine.election =
            Election::new(format!("candidate-{who}-{}", self.versions), Timing::default(), now);
        if let Some(request) = request {
            self.serve(request);
        }
    }

    fn heal(&mut self) {
        for machine in &mut self.candidates {
            (machine.frozen, machine.loses, machine.delay) = (0, None, 0);
        }
    }

    /// Those whose tenure lasts, each by its own clock, frozen or not.
    fn leaders(&self) -> impl Iterator<Item = usize> {
        self.candidates.iter().enumerate().filter_map(|(number, machine)| {
            let now = machine.clock(self.start, self.time);
            machine.tenure.as_ref().filter(|tenure| tenure.holds(now)).map(|_| number)
        })
    }

    fn step(&mut self) -> Result<(), TestCaseError> {
        self.time += STEP;
        for who in 0..self.candidates.len() {
            self.travel(who);
            self.candidates[who].run(self.start, self.time);
        }
        prop_assert!(self.leaders().count() <= 1, "two lead: {:?}", self);
        Ok(())
    }

    /// Lets a request and its answer go on by a step: the network does not stop when a process does.
    fn travel(&mut self, who: usize) {
        let loses = self.candidates[who].loses.map(|(asked, _)| asked);
        let Some(mut asked) = self.candidates[who].asked.take() else { return };
        if asked.arrives > 0 {
            asked.arrives -= 1;
        } else if asked.answer.is_none() && loses != Some(true) {
            asked.answer = Some(self.serve(asked.request.clone()));
        } else {
            asked.answers = asked.answers.saturating_sub(1);
        }
        self.candidates[who].asked = Some(asked);
    }

    fn serve(&mut self, request: Request) -> Answer {
        let current = self.lease.as_ref().map(|lease| lease.version.clone());
        let (before, record) = match request {
            Request::Read => return Answer::Read(self.lease.clone()),
            Request::Create(record) => (None, record),
            Request::Replace(version, record) => (Some(version), record),
        };
        if before != current {
            return Answer::Conflict;
        }
        self.versions += 1;
        let lease = Versioned { version: self.versions.to_string(), record };
        self.lease = Some(lease.clone());
        Answer::Written(lease)
    }
}

impl Machine {
    fn clock(&self, start: Instant, time: Duration) -> Instant {
        start + time.mul_f64(self.rate)
    }

    fn run(&mut self, start: Instant, time: Duration) {
        self.loses = self.loses.and_then(|(asked, steps)| Some((asked, steps.checked_sub(1)?)));
        if let Some(left) = self.frozen.checked_sub(1) {
            self.frozen = left;
            return;
        }
        let now = self.clock(start, time);
        self.election.handle_timeout(now);
        self.take_answer(now);
        while let Some(event) = self.election.poll_event() {
            match event {
                Event::Elected { until, .. } => self.tenure = Some(Tenure::new(until)),
                Event::Renewed { until } => self.tenure.iter().for_each(|tenure| tenure.extend(until)),
                Event::Lost(_) => self.tenure = None,
            }
        }
        if let Some(request) = self.election.poll_request(now) {
            let deadline = now + self.election.patience(now);
            let delay = self.delay;
            self.asked =
                Some(Asked { request, sent: now, deadline, arrives: delay, answers: delay, answer: None });
        }
    }

    fn take_answer(&mut self, now: Instant) {
        let lost = self.loses.is_some_and(|(asked, _)| !asked);
        let Some(asked) = &self.asked else { return };
        match &asked.answer {
            Some(answer) if asked.answers == 0 && !lost => {
                match answer.clone() {
                    Answer::Read(found) => self.election.handle_read(found, now),
                    Answer::Written(written) => self.election.handle_written(written, asked.sent, now),
                    Answer::Conflict => self.election.handle_failure(now),
                }
                self.asked = None;
            }
            Some(_) | None if asked.deadline <= now => {
                self.election.handle_failure(now);
                self.asked = None;
            }
            Some(_) | None => {}
        }
    }
}
