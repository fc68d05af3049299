#![no_main]
#![allow(dead_code, unused_imports, reason = "a target needs only a part")]

#[path = "../targets.rs"]
mod targets;
#[path = "../../src/wire/mod.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::advertisement(bytes);
});
