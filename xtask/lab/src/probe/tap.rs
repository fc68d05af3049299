//! An interface as probes see it: frames out, and every frame in.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};

/// A packet socket on an interface of the host that the thread is in.
pub(super) struct Tap {
    sender: Box<dyn DataLinkSender>,
    receiver: Box<dyn DataLinkReceiver>,
}

impl Tap {
    /// Opens an interface. `turn` is how long [`Self::receive`] waits for a frame.
    pub(super) fn open(interface: &str, turn: Duration) -> Result<Self> {
        let interfaces = pnet_datalink::interfaces();
        let found = interfaces.iter().find(|found| found.name == interface);
        let found = found.with_context(|| format!("the host has no {interface}"))?;
        // Promiscuous, since answers go to the hardware address of the host that a probe pretends to be.
        let config = Config { read_timeout: Some(turn), promiscuous: true, ..Config::default() };
        match pnet_datalink::channel(found, config).context("open a packet socket")? {
            Channel::Ethernet(sender, receiver) => Ok(Self { sender, receiver }),
            _ => bail!("{interface} is no Ethernet link"),
        }
    }

    /// Sends a frame. A link that is down takes none; what was sent is seen by what is answered.
    pub(super) fn send(&mut self, frame: &[u8]) {
        let _ = self.sender.send_to(frame, None);
    }

    /// The next frame, if one comes in time.
    pub(super) fn receive(&mut self) -> Result<Option<&[u8]>> {
        match self.receiver.next() {
            Ok(frame) => Ok(Some(frame)),
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NETDOWN.raw_os_error()) => Ok(None),
            Err(error) => Err(error).context("receive frames"),
        }
    }
}
