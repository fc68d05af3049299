//! How many frames of ARP and Neighbor Discovery cross the segment.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::namespace::within_net;

/// Counts each frame once, where it enters the bridge.
const RULES: &str = "
table bridge traffic {
  counter arp_frames {}
  counter nd_frames {}
  chain entered {
    type filter hook prerouting priority 0;
    ether type arp counter name arp_frames
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } counter name nd_frames
  }
}";

/// Frames since counting began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighborFrames {
    /// Of ARP.
    pub arp: u64,
    /// Neighbor Solicitations and Advertisements.
    pub nd: u64,
}

/// A count of frames at the lab's bridge.
#[derive(Debug)]
pub struct Traffic {
    netns: String,
}

impl Lab {
    /// Begins to count frames, once in a lab.
    pub fn count_traffic(&self) -> Result<Traffic> {
        let traffic = Traffic { netns: self.shared().segment().lan() };
        traffic.nft(&[RULES])?;
        Ok(traffic)
    }
}

impl Traffic {
    /// The frames so far.
    pub fn read(&self) -> Result<NeighborFrames> {
        let listed: Value = serde_json::from_str(&self.nft(&["--json", "list counters"])?)?;
        let packets = |name: &str| {
            let items = listed["nftables"].as_array().map(Vec::as_slice).unwrap_or_default();
            let counter = items.iter().map(|item| &item["counter"]).find(|counter| counter["name"] == name);
            counter
                .and_then(|counter| counter["packets"].as_u64())
                .with_context(|| format!("no counter {name}"))
        };
        Ok(NeighborFrames { arp: packets("arp_frames")?, nd: packets("nd_frames")? })
    }

    fn nft(&self, arguments: &[&str]) -> Result<String> {
        let output = within_net(&self.netns, || Command::new("nft").args(arguments).output())?;
        let output = output.context("run nft (package nftables)")?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
