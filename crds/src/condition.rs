//! Conditions: what only the whole set of objects can show, said on the object that it concerns.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Condition type: the object is accepted and in use (kstatus reads it).
pub const READY: &str = "Ready";
/// Condition type: the object can't become ready before its author changes it (kstatus reads it).
pub const STALLED: &str = "Stalled";
/// Condition type on a pool: an advertisement selects it.
pub const ADVERTISED: &str = "Advertised";

/// What a condition says, without the time at which it began to say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The condition's type, as [`READY`].
    pub type_: &'static str,
    /// True or False; there is no Unknown among ours.
    pub status: bool,
    /// CamelCase, one word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// Puts a statement into a list of conditions and returns whether the list changed.
///
/// `lastTransitionTime` becomes `now` when the status changes, and is kept otherwise.
pub fn set(
    conditions: &mut Vec<Condition>,
    statement: Statement,
    observed_generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let status = if statement.status { "True" } else { "False" };
    let existing = conditions.iter_mut().find(|condition| condition.type_ == statement.type_);
    let last_transition_time = match &existing {
        Some(condition) if condition.status == status => condition.last_transition_time.clone(),
        _ => Time(now),
    };
    let new = Condition {
        type_: statement.type_.to_owned(),
        status: status.to_owned(),
        reason: statement.reason.to_owned(),
        message: statement.message,
        observed_generation,
        last_transition_time,
    };
    match existing {
        Some(condition) if *condition == new => false,
        Some(condition) => {
            *condition = new;
            true
        }
        None => {
            conditions.push(new);
            true
        }
    }
}

/// Removes the condition of a type and returns whether it was there.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.len() != before
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of a type is there and True.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        assert!(set(&mut conditions, ready(true, "Accepted"), Some(1), at(1)));
        assert!(!set(&mut conditions, ready(true, "Accepted"), Some(1), at(2)));
        assert!(set(&mut conditions, ready(true, "Renamed"), Some(1), at(3)));
        assert_eq!(conditions[0].last_transition_time.0, at(1));
        assert!(set(&mut conditions, ready(false, "OverlapsPool"), Some(2), at(4)));
        assert_eq!(conditions[0].last_transition_time.0, at(4));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn a_condition_of_another_type_is_left_alone() {
        let mut conditions = Vec::new();
        set(&mut conditions, ready(true, "Accepted"), None, at(1));
        set(&mut conditions, Statement { type_: ADVERTISED, ..ready(false, "NoAdvertisement") }, None, at(1));
        assert!(is_true(&conditions, READY) && !is_true(&conditions, ADVERTISED));
        assert!(remove(&mut conditions, READY) && !remove(&mut conditions, READY));
        assert_eq!(find(&conditions, ADVERTISED).unwrap().reason, "NoAdvertisement");
    }

    fn ready(status: bool, reason: &'static str) -> Statement {
        Statement { type_: READY, status, reason, message: String::new() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
