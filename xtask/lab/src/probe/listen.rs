//! Every frame that reaches a host, byte for byte.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::tap::Tap;
use super::{Recorder, Worker};
use crate::clock;
use crate::host::Host;

/// How long the thread waits for a frame before it looks whether one is to be sent.
const TURN: Duration = Duration::from_millis(4);

/// A frame that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When it came.
    pub at: Instant,
    /// From the Ethernet destination on, with padding and without check sequence.
    pub bytes: Vec<u8>,
}

/// Records the frames that reach an interface of a host, whomever they are for, and sends frames from it.
#[derive(Debug)]
pub struct ListenProbe {
    worker: Worker<Heard>,
    outgoing: SyncSender<Vec<u8>>,
}

impl ListenProbe {
    /// Starts listening on an interface of a host.
    pub fn start(host: &Host, interface: &str) -> Result<Self> {
        let interface = interface.to_owned();
        let (outgoing, to_send) = sync_channel(0);
        let worker = Worker::start(
            host,
            move || Tap::open(&interface, TURN),
            move |tap, recorder| listen(tap, &to_send, &recorder),
        )?;
        Ok(Self { worker, outgoing })
    }

    /// Sends a frame: it is on its way when this returns. It is not heard.
    pub fn send(&self, frame: Vec<u8>) -> Result<()> {
        self.outgoing.send(frame).ok().context("the listener ended")
    }

    /// The frames so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.worker.samples()
    }
}

fn listen(mut tap: Tap, to_send: &Receiver<Vec<u8>>, recorder: &Recorder<Heard>) -> Result<()> {
    while !recorder.is_stopped() {
        to_send.try_iter().for_each(|frame| tap.send(&frame));
        if let Some(frame) = tap.receive()? {
            recorder.record(Heard { at: clock::now(), bytes: frame.to_vec() });
        }
    }
    Ok(())
}
