//! What was told lately: told again, it is counted on the Event that told it first.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::News;

/// How long after its last repetition an Event still counts further ones.
const WINDOW: Duration = Duration::from_secs(360);
/// Events that are remembered.
const REMEMBERED: usize = 1024;

/// Events that were sent lately.
#[derive(Debug, Default)]
pub(super) struct Recent {
    sent: HashMap<News, Sent>,
    order: VecDeque<News>,
}

#[derive(Debug)]
struct Sent {
    name: String,
    count: u32,
    last: Instant,
}

impl Recent {
    /// The name of the Event that told the same lately, and how often it has been told with this time.
    pub(super) fn repeat(&mut self, news: &News, now: Instant) -> Option<(String, u32)> {
        let sent = self.sent.get_mut(news)?;
        if now.saturating_duration_since(sent.last) > WINDOW {
            self.forget(news);
            return None;
        }
        (sent.count, sent.last) = (sent.count.saturating_add(1), now);
        Some((sent.name.clone(), sent.count))
    }

    /// Notes that an Event is sent for the first time.
    pub(super) fn first(&mut self, news: News, name: String, now: Instant) {
        self.order.push_back(news.clone());
        self.sent.insert(news, Sent { name, count: 1, last: now });
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.sent.remove(&oldest);
        }
    }

    /// Forgets an Event: it is not there any more, or never was.
    pub(super) fn forget(&mut self, news: &News) {
        if self.sent.remove(news).is_some() {
            self.order.retain(|other| other != news);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock;
    use super::*;

    #[test]
    fn what_is_told_again_within_minutes_is_counted() {
        let start = clock();
        let (first, other) = (news("a"), news("b"));
        let mut recent = Recent::default();
        assert_eq!(recent.repeat(&first, start), None);
        recent.first(first.clone(), "e".to_owned(), start);
        assert_eq!(recent.repeat(&other, start), None);
        assert_eq!(recent.repeat(&first, start + WINDOW), Some(("e".to_owned(), 2)));
        assert_eq!(recent.repeat(&first, start + WINDOW * 2), Some(("e".to_owned(), 3)));
        assert_eq!(recent.repeat(&first, start + WINDOW * 4), None);
        recent.first(first.clone(), "f".to_owned(), start);
        recent.forget(&first);
        assert_eq!(recent.repeat(&first, start), None);
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let start = clock();
        let mut recent = Recent::default();
        for number in 0..2 * REMEMBERED {
            recent.first(news(&number.to_string()), String::new(), start);
        }
        assert_eq!((recent.sent.len(), recent.order.len()), (REMEMBERED, REMEMBERED));
        assert!(recent.repeat(&news("0"), start).is_none());
    }

    fn news(note: &str) -> News {
        News {
            namespace: "default".to_owned(),
            service: "web".to_owned(),
            uid: None,
            reason: "Allocated",
            action: "Allocate",
            note: note.to_owned(),
            is_warning: false,
        }
    }
}
