//! When new connections get through.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::timeline::{Gap, longest_gap};
use super::{PERIOD, Recorder, Worker};
use crate::clock;
use crate::host::Host;

/// How long an attempt may take; later ones start in the meantime.
const PATIENCE: Duration = Duration::from_secs(1);

/// An attempt to connect that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// When it began.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The connection was made; otherwise it was refused, or not made within a second.
    pub made: bool,
}

/// Opens a TCP connection every 20 ms, and closes it.
#[derive(Debug)]
pub struct ConnectProbe(Worker<Connection>);

/// What a [`ConnectProbe`] saw.
#[derive(Debug, Clone)]
pub struct Connections {
    /// All attempts, in the order in which they ended.
    pub attempts: Vec<Connection>,
    /// From the start of the probe to its end.
    pub span: Range<Instant>,
}

impl ConnectProbe {
    /// Starts connecting from a host.
    pub fn start(host: &Host, server: SocketAddr) -> Result<Self> {
        Ok(Self(Worker::start(host, || Ok(()), move |(), recorder| connect(server, &recorder))?))
    }

    /// The attempts so far.
    pub fn attempts(&self) -> Vec<Connection> {
        self.0.samples()
    }

    /// Stops connecting.
    pub fn stop(self) -> Result<Connections> {
        let (attempts, span) = self.0.stop()?;
        Ok(Connections { attempts, span })
    }
}

impl Connections {
    /// The longest time in which no connection was made.
    pub fn longest_gap(&self) -> Gap {
        longest_gap(
            &self.span,
            self.attempts.iter().filter(|attempt| attempt.made).map(|attempt| attempt.ended),
        )
    }

    /// How many attempts failed.
    pub fn failures(&self) -> usize {
        self.attempts.iter().filter(|attempt| !attempt.made).count()
    }
}

/// An attempt under way.
struct Attempt {
    socket: Socket,
    started: Instant,
}

fn connect(server: SocketAddr, recorder: &Recorder<Connection>) -> Result<()> {
    let mut open: Vec<Attempt> = Vec::new();
    let mut next = clock::now();
    while !recorder.is_stopped() {
        let now = clock::now();
        if now >= next {
            let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            // Whatever comes of it shows when the socket is polled, an immediate refusal too.
            let _ = socket.connect(&server.into());
            open.push(Attempt { socket, started: now });
            next = (next + PERIOD).max(now);
        }
        let ready = wait(&open, next.saturating_duration_since(now))?;
        let now = clock::now();
        let mut ready = ready.into_iter();
        open.retain(|attempt| {
            let is_ready = ready.next().unwrap_or(false);
            let made = is_ready
                && matches!(attempt.socket.take_error(), Ok(None))
                && attempt.socket.peer_addr().is_ok();
            let over = is_ready || now > attempt.started + PATIENCE;
            if over {
                recorder.record(Connection { started: attempt.started, ended: now, made });
            }
            !over
        });
    }
    Ok(())
}

/// Waits until one of the attempts is decided, and says of each whether it is.
fn wait(open: &[Attempt], patience: Duration) -> Result<Vec<bool>> {
    let timeout = Timespec::try_from(patience).context("a patience beyond the kernel's range")?;
    let mut sockets: Vec<_> =
        open.iter().map(|attempt| PollFd::new(&attempt.socket, PollFlags::OUT)).collect();
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(sockets.iter().map(|socket| !socket.revents().is_empty()).collect()),
        Err(error) => Err(error).context("wait for connections"),
    }
}
