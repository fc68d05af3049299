//! Flags for the times of the protocol, checked against each other.

use std::time::Duration;

use clap::{Args, value_parser};

use crate::ownership::Timing;

/// Times that depend on the segment: how late, and how seldom, frames arrive there.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Times of the protocol, to be set alike on all speakers of a cluster")]
pub struct TimingArgs {
    /// Milliseconds between the questions of a watcher to an owner
    #[arg(
        long,
        env = "FERROLB_QUESTION_INTERVAL_MS",
        value_name = "MS",
        default_value_t = 100,
        value_parser = value_parser!(u16).range(20..=500)
    )]
    pub question_interval_ms: u16,

    /// Milliseconds between questions once one was not answered; no more than --question-interval-ms. An answer that
    /// takes longer is a missed one
    #[arg(
        long,
        env = "FERROLB_RETRY_INTERVAL_MS",
        value_name = "MS",
        default_value_t = 50,
        value_parser = value_parser!(u16).range(10..=500)
    )]
    pub retry_interval_ms: u16,

    /// Questions in a row that an owner has to miss before others are told
    #[arg(
        long,
        env = "FERROLB_MISSES",
        value_name = "COUNT",
        default_value_t = 3,
        value_parser = value_parser!(u8).range(2..=10)
    )]
    pub misses: u8,

    /// Milliseconds that a probe waits for its answer before an address is announced: longer than a broadcast and the
    /// answer take
    #[arg(
        long,
        env = "FERROLB_PROBE_WAIT_MS",
        value_name = "MS",
        default_value_t = 20,
        value_parser = value_parser!(u16).range(5..=500)
    )]
    pub probe_wait_ms: u16,

    /// Milliseconds that a node leaves to each candidate before it to take an address; at least three times
    /// --probe-wait-ms
    #[arg(
        long,
        env = "FERROLB_RANK_DELAY_MS",
        value_name = "MS",
        default_value_t = 150,
        value_parser = value_parser!(u16).range(15..=2000)
    )]
    pub rank_delay_ms: u16,

    /// Seconds from a peer's last answer until it is asked again whether it is there: with hundreds of nodes most frames
    /// are these
    #[arg(
        long,
        env = "FERROLB_PRESENCE_INTERVAL_SECONDS",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = value_parser!(u16).range(10..=300)
    )]
    pub presence_interval_seconds: u16,
}

/// Times that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// After a miss questions would come more slowly.
    #[error(
        "--retry-interval-ms={retry} is more than --question-interval-ms={question}: set it to at most {question}, or the other to at least {retry}"
    )]
    Retry {
        /// The first, in milliseconds.
        retry: u16,
        /// The second.
        question: u16,
    },
    /// The next in order would not have seen that the one before it took the address.
    #[error(
        "--rank-delay-ms={rank} is less than three times --probe-wait-ms={probe}: set it to at least {}",
        u32::from(*probe) * PROBES_A_RANK
    )]
    Rank {
        /// The first, in milliseconds.
        rank: u16,
        /// The second.
        probe: u16,
    },
}

/// A first placement takes two probes, and what announces it has to arrive.
const PROBES_A_RANK: u32 = 3;
/// Questions of a node that checks for itself, after it was told.
const CHECK: u32 = 3;

impl TryFrom<&TimingArgs> for Timing {
    type Error = TimingError;

    fn try_from(args: &TimingArgs) -> Result<Self, TimingError> {
        let &TimingArgs {
            question_interval_ms: question,
            retry_interval_ms: retry,
            misses,
            probe_wait_ms: probe,
            rank_delay_ms: rank,
            presence_interval_seconds: presence,
        } = args;
        if retry > question {
            return Err(TimingError::Retry { retry, question });
        }
        if u32::from(rank) < u32::from(probe) * PROBES_A_RANK {
            return Err(TimingError::Rank { rank, probe });
        }
        let ms = |ms: u16| Duration::from_millis(ms.into());
        let timing = Timing {
            question: ms(question),
            doubtful_question: ms(retry),
            misses: misses.into(),
            probe: ms(probe),
            rank: ms(rank),
            presence: Duration::from_secs(presence.into()),
            ..Timing::default()
        };
        // Twice the time, as frames get lost.
        let farewell = timing.farewell.max(time_to_cover(&timing) * 2).min(timing.leave);
        Ok(Self { offer: timing.offer.max(ms(retry)), farewell, ..timing })
    }
}

/// How long after a speaker fell silent the first in order covers for it, if no frame is lost.
fn time_to_cover(timing: &Timing) -> Duration {
    timing.question * 2 + timing.doubtful_question * (timing.misses - 1 + CHECK) + timing.probe
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        timing: TimingArgs,
    }

    #[test]
    fn without_flags_all_times_are_the_defaults() {
        assert_eq!(timing(""), Ok(Timing::default()));
    }

    #[test]
    fn what_is_set_is_what_the_machine_gets() {
        let flags = "--question-interval-ms=300 --retry-interval-ms=200 --misses=4 --probe-wait-ms=150 \
             --rank-delay-ms=500 --presence-interval-seconds=60";
        let ms = Duration::from_millis;
        let timing = timing(flags).unwrap();
        assert_eq!((timing.question, timing.doubtful_question, timing.misses), (ms(300), ms(200), 4));
        assert_eq!((timing.probe, timing.rank, timing.presence), (ms(150), ms(500), ms(60_000)));
    }

    #[test]
    fn who_restarts_and_who_offers_waits_longer_where_answers_take_longer() {
        let slow = timing("--question-interval-ms=300 --retry-interval-ms=300").unwrap();
        assert_eq!(slow.offer, Duration::from_millis(300));
        assert_eq!(slow.farewell, Duration::from_millis(2 * (300 + 300 * 3 + 300 * 3 + 20)));
        let slowest = timing("--question-interval-ms=500 --retry-interval-ms=500 --misses=10").unwrap();
        assert_eq!(slowest.farewell, slowest.leave, "its pod is killed soon after");
    }

    #[test]
    fn times_that_do_not_go_together_are_refused_with_what_to_set() {
        for (flags, error) in [
            (
                "--retry-interval-ms=101",
                "--retry-interval-ms=101 is more than --question-interval-ms=100: set it to at most 100, or the other to at least 101",
            ),
            (
                "--probe-wait-ms=100",
                "--rank-delay-ms=150 is less than three times --probe-wait-ms=100: set it to at least 300",
            ),
        ] {
            assert_eq!(timing(flags).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_the_flags_name() {
        for flag in [
            "--question-interval-ms=0",
            "--retry-interval-ms=501",
            "--misses=1",
            "--probe-wait-ms=4",
            "--rank-delay-ms=2001",
            "--presence-interval-seconds=9",
            "--presence-interval-seconds=soon",
        ] {
            let error = Cli::try_parse_from(["ferrolb-speaker", flag]).err().expect(flag).to_string();
            let (name, _) = flag.split_once('=').unwrap();
            assert!(error.contains("invalid value") && error.contains(name), "{error}");
        }
    }

    fn timing(flags: &str) -> Result<Timing, TimingError> {
        let cli = Cli::try_parse_from(["ferrolb-speaker"].into_iter().chain(flags.split_whitespace()));
        Timing::try_from(&cli.unwrap().timing)
    }
}
