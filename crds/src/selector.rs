//! Matching of label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

/// Whether the selector matches the labels; an empty selector matches everything.
///
/// The schema refuses malformed selectors, so one that still can't be read (it was stored before a rule existed)
/// matches nothing: that grants no more than its author meant.
pub fn matches(selector: &LabelSelector, labels: Option<&BTreeMap<String, String>>) -> bool {
    let none = BTreeMap::new();
    Selector::try_from(selector.clone()).is_ok_and(|parsed| parsed.matches(labels.unwrap_or(&none)))
}

/// Whether one of the selectors matches the labels; an empty list matches nothing.
pub fn any_matches(selectors: &[LabelSelector], labels: Option<&BTreeMap<String, String>>) -> bool {
    selectors.iter().any(|selector| matches(selector, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_as_in_kubernetes() {
        for (selector, labels, expected) in [
            ("{}", "{}", true),
            ("{}", "{a: b}", true),
            ("{matchLabels: {a: b}}", "{a: b, c: d}", true),
            ("{matchLabels: {a: b}}", "{a: x}", false),
            ("{matchLabels: {a: b}}", "{}", false),
            ("{matchExpressions: [{key: a, operator: In, values: [b, c]}]}", "{a: c}", true),
            ("{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "{}", true),
            ("{matchExpressions: [{key: a, operator: NotIn, values: [b]}]}", "{a: b}", false),
            ("{matchExpressions: [{key: a, operator: Exists}]}", "{a: ''}", true),
            ("{matchExpressions: [{key: a, operator: DoesNotExist}]}", "{a: ''}", false),
            ("{matchLabels: {a: b}, matchExpressions: [{key: c, operator: Exists}]}", "{a: b}", false),
            ("{matchExpressions: [{key: a, operator: Near, values: [b]}]}", "{a: b}", false),
        ] {
            let parsed: LabelSelector = serde_saphyr::from_str(selector).unwrap();
            let map: BTreeMap<String, String> = serde_saphyr::from_str(labels).unwrap();
            assert_eq!(matches(&parsed, Some(&map)), expected, "{selector} on {labels}");
        }
    }

    #[test]
    fn no_selector_matches_nothing() {
        assert!(!any_matches(&[], None));
        assert!(any_matches(&[LabelSelector::default()], None));
    }
}
