//! How fast an address is answered on a wire: by a loop in C that answers everything, by the kernel, and by the
//! speaker's driver with more and more addresses.
//!
//! ```text
//! wire ECHO   measures all, in a network namespace of its own; ECHO is the loop's program
//! wire ask …  asks, in the other host's namespace
//! ```
//!
//! It prints a line of JSON for each responder and protocol: its name, the microseconds of each question up to its
//! answer, and how many answers a second came to questions that did not wait for each other.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code,
    reason = "parts of a test are used here, whose other parts are not"
)]

#[path = "../tests/kernel/segment.rs"]
mod segment;
#[path = "../tests/kernel/speaker.rs"]
mod speaker;

#[path = "wire/ask.rs"]
mod ask;

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ferrolb_speaker::driver::Notice;
use ferrolb_speaker::ownership::Change;
use serde_json::json;

use self::ask::Question;
use self::segment::{Segment, ip, route_by_peer};
use self::speaker::Speaker;

/// Addresses of the speaker, from few to many.
const SIZES: [u32; 3] = [1, 100, MOST];
const MOST: u32 = 10_000;
/// After as long the speaker's bound on all answers has room for a whole burst again.
const REST: Duration = Duration::from_millis(1200);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ask", ..] => ask::run(&words[1..]),
        [echo] => measure(Path::new(echo)),
        _ => panic!("what to measure? The first lines of this program's text tell."),
    }
}

fn measure(echo: &Path) {
    let segment = Segment::new();
    // As the speaker's interface is: with an address of its own the kernel takes every question up as well.
    route_by_peer("lan0");
    let loops = [(Question::Arp, 0, "loop in C"), (Question::Ndp, 1, "loop in C")];
    let most = (Question::Ndp, MOST, "loop in C with 10000 groups");
    for (question, groups, name) in loops.into_iter().chain([most]) {
        let mut loop_in_c = Command::new(echo)
            .args(["lan0", question.word(), &groups.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the loop in C");
        let mut ready = String::new();
        BufReader::new(loop_in_c.stdout.as_mut().expect("its output")).read_line(&mut ready).expect("a word");
        report(&segment, name, question, groups.max(1));
        loop_in_c.kill().and_then(|()| loop_in_c.wait()).expect("it ends");
    }
    for (question, address, length) in
        [(Question::Arp, address(Question::Arp, 0), 32), (Question::Ndp, address(Question::Ndp, 0), 128)]
    {
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        ip(&format!("address add {address}/{length} dev lan0{nodad}"));
        report(&segment, "kernel", question, 1);
        ip(&format!("address delete {address}/{length} dev lan0"));
    }
    for size in SIZES {
        let addresses: Vec<IpAddr> = [Question::Arp, Question::Ndp]
            .into_iter()
            .flat_map(|question| (0..size).map(move |number| address(question, number)))
            .collect();
        let mut speaker = Speaker::start();
        speaker.desire(&addresses);
        for _ in &addresses {
            speaker.await_notice(|notice| {
                matches!(notice, Notice::Event(event, _) if matches!(event.change, Change::Announcing { .. }))
            });
        }
        for question in [Question::Arp, Question::Ndp] {
            report(&segment, &format!("speaker with {size}"), question, size);
        }
    }
}

/// Has the peer ask, and prints what it found.
#[expect(clippy::print_stdout, reason = "what the program was run for")]
fn report(segment: &Segment, responder: &str, question: Question, addresses: u32) {
    std::thread::sleep(REST);
    let program = std::env::current_exe().expect("this program");
    let (link, mac) = segment.peer_link();
    let words = [question.word().to_owned(), addresses.to_string(), link.to_string(), mac.to_string()];
    let output = segment.peer_command(&program).arg("ask").args(words).output().expect("the peer asks");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let name = format!("{}, {responder}", question.word());
    println!("{}", json!({ "name": name, "micros": found["micros"], "per_second": found["per_second"] }));
}

/// The addresses that are asked for.
fn address(question: Question, number: u32) -> IpAddr {
    match question {
        Question::Arp => Ipv4Addr::from_bits(0x0a00_0001 + number).into(),
        Question::Ndp => Ipv6Addr::from_bits((0xfd00_u128 << 112) + 0x1_0000 + u128::from(number)).into(),
    }
}
