//! The node's own kernel as one that answers for addresses of Services: kube-proxy in IPVS mode puts them on an interface
//! of every node, and Linux answers ARP for any address of the node on any interface, unless `arp_ignore` says otherwise.
//!
//! [`answers`] decides for which it answers, [`told`] what is new about that, and [`watch`] asks the kernel.

pub mod answers;
pub mod told;
pub mod watch;
