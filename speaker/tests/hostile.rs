//! Bytes that anybody may send to a speaker: the corpora of the fuzz targets, and random and mutated frames.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use ferrolb_speaker::wire;

/// A fuzz target: whether a frame came of the bytes.
type Target = fn(&[u8]) -> bool;

const TARGETS: [(&str, Target); 4] = [
    ("frame", targets::frame),
    ("arp", targets::arp),
    ("solicitation", targets::solicitation),
    ("advertisement", targets::advertisement),
];

/// Frames that are made, over all targets.
const FRAMES: u64 = 10_000_000;
/// The longest random input; a jumbo frame is no other to the parser.
const LONGEST: usize = 160;

#[test]
fn every_entry_of_the_corpora_is_read_or_refused() {
    for (name, target) in TARGETS {
        let entries = corpus(name);
        let read = entries.values().filter(|bytes| target(bytes)).count();
        assert!(read > 0 && read < entries.len(), "{name}: {read} of {} are frames", entries.len());
    }
}

/// `FERROLB_SEED` repeats a run.
#[test]
fn ten_million_random_and_mutated_frames_are_read_or_refused() {
    let seed = std::env::var("FERROLB_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let share = FRAMES / u64::try_from(TARGETS.len()).expect("four");
    thread::scope(|scope| {
        let runs = TARGETS.map(|(name, target)| {
            let entries: Vec<_> = corpus(name).into_values().collect();
            (name, scope.spawn(move || run(target, &entries, share, seed)))
        });
        for (name, run) in runs {
            let read = run.join().unwrap_or_else(|_| panic!("{name}, FERROLB_SEED={seed}"));
            assert!(read > share / 1000, "{name}: only {read} of {share} were frames");
        }
    });
}

/// Tries random bytes and changed entries, and says how many were frames.
fn run(target: Target, entries: &[Vec<u8>], count: u64, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut bytes = Vec::new();
    let mut read = 0;
    for _ in 0..count {
        bytes.clear();
        if random.below(8) == 0 {
            bytes.resize_with(random.below(LONGEST), || random.byte());
        } else {
            bytes.extend_from_slice(&entries[random.below(entries.len())]);
            random.mutate(&mut bytes);
        }
        read += u64::from(target(&bytes));
    }
    read
}

/// The inputs that fuzzing has found, and those that it began with, by name.
fn corpus(target: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("a readable file"))).collect()
}

/// Numbers that look random: xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// Changes, removes, doubles or appends some bytes.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => bytes.push(self.byte()),
                2 if !bytes.is_empty() => drop(bytes.remove(at)),
                3 if !bytes.is_empty() => bytes.insert(at, 0xff),
                _ if !bytes.is_empty() => bytes[at] = self.byte(),
                _ => {}
            }
        }
    }
}
