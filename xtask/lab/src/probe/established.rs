//! What happens to a connection that is there.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::timeline::{Gap, longest_gap};
use super::{PERIOD, Recorder, Worker};
use crate::clock;
use crate::host::Host;

/// How long a connection may take to be made, and to be made again after it broke.
const PATIENCE: Duration = Duration::from_secs(1);
/// One that lives on with no answer for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// A request that any HTTP server answers without a body.
const REQUEST: &str = "HEAD / HTTP/1.1\r\nHost: probe\r\n\r\n";

/// Something that happened to the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// It was made.
    Made(Instant),
    /// A response came.
    Response(Instant),
    /// It ended, by reset, close or silence; another one follows.
    Broken(Instant, String),
}

/// Keeps one connection to an HTTP server, and sends a request over it every 20 ms.
///
/// The server must keep connections open for as long as the probe lasts; the lab's nginx does.
#[derive(Debug)]
pub struct EstablishedProbe(Worker<Exchange>);

/// What an [`EstablishedProbe`] saw.
#[derive(Debug, Clone)]
pub struct Exchanges {
    /// All events, in their order.
    pub events: Vec<Exchange>,
    /// From the start of the probe to its end.
    pub span: Range<Instant>,
}

impl EstablishedProbe {
    /// Connects from a host; returns once the connection is made.
    pub fn start(host: &Host, server: SocketAddr) -> Result<Self> {
        let connect = move || Ok(TcpStream::connect_timeout(&server, PATIENCE)?);
        Ok(Self(Worker::start(host, connect, move |stream, recorder| exchange(server, stream, &recorder))?))
    }

    /// What happened so far.
    pub fn events(&self) -> Vec<Exchange> {
        self.0.samples()
    }

    /// Closes the connection.
    pub fn stop(self) -> Result<Exchanges> {
        let (events, span) = self.0.stop()?;
        Ok(Exchanges { events, span })
    }
}

impl Exchanges {
    /// The longest time without a response.
    pub fn longest_gap(&self) -> Gap {
        let responses = self.events.iter().filter_map(|event| match event {
            Exchange::Response(at) => Some(*at),
            Exchange::Made(_) | Exchange::Broken(..) => None,
        });
        longest_gap(&self.span, responses)
    }

    /// How often the connection broke.
    pub fn breaks(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Exchange::Broken(..))).count()
    }
}

fn exchange(server: SocketAddr, first: TcpStream, recorder: &Recorder<Exchange>) -> Result<()> {
    let mut stream = Some(first);
    while !recorder.is_stopped() {
        let Some(current) = stream.take() else {
            stream = TcpStream::connect_timeout(&server, PATIENCE).ok();
            std::thread::sleep(PERIOD);
            continue;
        };
        recorder.record(Exchange::Made(clock::now()));
        if let Err(error) = talk(current, recorder) {
            recorder.record(Exchange::Broken(clock::now(), error.to_string()));
        }
    }
    Ok(())
}

/// Sends requests and records responses until the connection ends, which is an error, or the probe.
fn talk(mut stream: TcpStream, recorder: &Recorder<Exchange>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PERIOD / 4))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut responses = Responses::default();
    let mut next = clock::now();
    let mut heard = next;
    let mut buffer = [0; 4096];
    while !recorder.is_stopped() {
        let now = clock::now();
        if now >= next {
            stream.write_all(REQUEST.as_bytes())?;
            next = (next + PERIOD).max(now);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err(io::Error::other("the server closed it")),
            Ok(length) => {
                heard = clock::now();
                (0..responses.feed(&buffer[..length]))
                    .for_each(|_| recorder.record(Exchange::Response(heard)));
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if now > heard + SILENCE {
                    return Err(io::Error::other("silent for a minute"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Counts responses without a body by the empty lines that end them.
#[derive(Debug, Default)]
struct Responses {
    matched: usize,
}

impl Responses {
    /// How many responses end in these bytes, which follow on the earlier ones.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        const END: &[u8] = b"\r\n\r\n";
        let mut ended = 0;
        for &byte in bytes {
            self.matched =
                if byte == END[self.matched] { self.matched + 1 } else { usize::from(byte == END[0]) };
            if self.matched == END.len() {
                ended += 1;
                self.matched = 0;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_counts_once_however_it_is_cut() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 2";
        for size in 1..=text.len() {
            let mut responses = Responses::default();
            let count: usize = text.chunks(size).map(|chunk| responses.feed(chunk)).sum();
            assert_eq!(count, 2, "in pieces of {size}");
        }
    }
}
