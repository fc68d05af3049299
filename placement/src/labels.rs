//! Labels, kept small.

use std::collections::BTreeMap;
use std::fmt;

use ferrolb_crds::selector::any_matches;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The labels of an object of which there are many, in one piece of memory: they are read only where a selector asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<str>);

/// Neither names nor values of labels contain it.
const END: char = '\0';

impl Labels {
    /// Whether one of the selectors matches; an empty list matches nothing.
    pub fn match_any(&self, selectors: &[LabelSelector]) -> bool {
        !selectors.is_empty() && any_matches(selectors, Some(&self.unpack()))
    }

    fn unpack(&self) -> BTreeMap<String, String> {
        let mut texts = self.0.split_terminator(END).map(str::to_owned);
        std::iter::from_fn(|| texts.next().zip(texts.next())).collect()
    }
}

impl From<&BTreeMap<String, String>> for Labels {
    fn from(labels: &BTreeMap<String, String>) -> Self {
        Self(labels.iter().flat_map(|(name, value)| [name.as_str(), "\0", value, "\0"]).collect())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.unpack(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_out_as_they_went_in() {
        for labels in [&[][..], &[("a", "b")], &[("a", ""), ("b", "c")], &[("a", "b"), ("c", "")]] {
            let labels: BTreeMap<String, String> =
                labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(Labels::from(&labels).unpack(), labels);
        }
    }

    #[test]
    fn no_selector_matches_no_labels() {
        assert!(!Labels::default().match_any(&[]));
        assert!(Labels::default().match_any(&[LabelSelector::default()]));
    }
}
