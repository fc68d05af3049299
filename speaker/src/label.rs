//! Names as label values.

/// The longest label value.
const MAX_LEN: usize = 63;

/// A node's name as the value of a label: itself where it fits, else shortened and marked with a hash.
pub fn value(name: &str) -> String {
    if name.len() <= MAX_LEN {
        return name.to_owned();
    }
    let hash = format!("-{:016x}", crate::jitter::seed(name));
    let readable: String = name.chars().take(MAX_LEN - hash.len()).collect();
    readable.trim_end_matches(['.', '-']).to_owned() + &hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_stay_different() {
        assert_eq!(value("node-1"), "node-1");
        let (one, other) = (value(&("n".repeat(252) + "1")), value(&("n".repeat(252) + "2")));
        assert!(one.len() <= MAX_LEN && one != other, "{one} {other}");
    }
}
