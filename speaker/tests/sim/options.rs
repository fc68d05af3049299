//! The command line.

use crate::mutation::{self, Mutation};

/// All options.
const USAGE: &str = "[--seed N] [--steps N] [--failures N] [--threads N] [--trace] [--frames] [--mutation NAME] [--mutations]";

/// What is to be run.
pub(crate) struct Options {
    pub(crate) seed: Option<u64>,
    pub(crate) steps: Option<u64>,
    pub(crate) trace: bool,
    pub(crate) frames: bool,
    pub(crate) failures: usize,
    pub(crate) threads: usize,
    /// Break this rule.
    pub(crate) mutation: Option<Mutation>,
    /// Show that each broken rule is found.
    pub(crate) mutations: bool,
}

impl Options {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self {
            seed: None,
            steps: None,
            trace: false,
            frames: false,
            failures: 1,
            threads,
            mutation: None,
            mutations: false,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: String| -> Result<u64, String> {
                text.parse().map_err(|_| format!("{word} needs a number, not {text:?}"))
            };
            let small = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            match word.as_str() {
                "--seed" => options.seed = Some(number(value()?)?),
                "--steps" => options.steps = Some(number(value()?)?),
                "--failures" => options.failures = small(number(value()?)?),
                "--threads" => options.threads = small(number(value()?)?).max(1),
                "--mutation" => {
                    let name = value()?;
                    let known = || {
                        format!("{name:?} is no mutation; with the feature mutations these are: {}", names())
                    };
                    options.mutation = Some(Mutation::named(&name).ok_or_else(known)?);
                }
                "--mutations" => options.mutations = true,
                "--trace" => options.trace = true,
                "--frames" => (options.trace, options.frames) = (true, true),
                _ => {
                    return Err(format!("{word:?} is not known; use: {USAGE}"));
                }
            }
        }
        Ok(options)
    }
}

fn names() -> String {
    mutation::ALL.iter().map(Mutation::to_string).collect::<Vec<_>>().join(", ")
}
