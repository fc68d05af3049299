//! Interfaces by exact name or glob.

use std::sync::Arc;

/// The interfaces on which an address may be announced: the union of what several advertisements say. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceFilter {
    /// Every usable interface.
    All,
    /// Interfaces whose name matches one of the patterns, in which `*` stands for any text.
    Matching(Arc<[String]>),
}

impl InterfaceFilter {
    /// The filter of one advertisement: an empty list stands for all interfaces.
    pub fn from_patterns(patterns: &[String]) -> Self {
        if patterns.is_empty() { Self::All } else { Self::matching(patterns.to_vec()) }
    }

    /// Interfaces that either filter lets through.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Matching(left), Self::Matching(right)) if left == right => Self::Matching(left),
            (Self::Matching(left), Self::Matching(right)) => Self::matching([&*left, &*right].concat()),
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    /// No interface.
    pub fn none() -> Self {
        Self::Matching([].into())
    }

    /// Whether an interface of this name is let through.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns.iter().any(|pattern| glob(pattern, name)),
        }
    }

    /// Equal sets make equal filters.
    fn matching(mut patterns: Vec<String>) -> Self {
        patterns.sort_unstable();
        patterns.dedup();
        Self::Matching(patterns.into())
    }
}

fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((prefix, rest)) => name.strip_prefix(prefix).is_some_and(|name| {
            name.char_indices()
                .map(|(start, _)| start)
                .chain([name.len()])
                .any(|start| name.get(start..).is_some_and(|tail| glob(rest, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_exactly_or_by_glob() {
        for (pattern, name, expected) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth*", "eth0", true),
            ("eth*", "eth", true),
            ("eth*", "weth0", false),
            ("*", "anything", true),
            ("en*s*", "enp3s0", true),
            ("en*s*", "eno1", false),
            ("*.100", "eth0.100", true),
            ("*.100", "eth0.1000", false),
            ("**0", "eth0", true),
        ] {
            assert_eq!(glob(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn a_union_lets_through_what_either_does() {
        let filter = |patterns: &[&str]| {
            InterfaceFilter::from_patterns(&patterns.iter().map(|p| p.to_string()).collect::<Vec<_>>())
        };
        let both = filter(&["eth0"]).union(filter(&["bond*"]));
        assert!(both.matches("eth0") && both.matches("bond1") && !both.matches("eth1"));
        assert_eq!(filter(&["eth0"]).union(filter(&[])), InterfaceFilter::All);
        assert_eq!(filter(&[]).union(filter(&["eth0"])), InterfaceFilter::All);
    }
}
