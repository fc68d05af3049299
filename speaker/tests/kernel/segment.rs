//! Two hosts on a wire: this namespace, and a peer's.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ferrolb_speaker::link::LinkId;
use ferrolb_speaker::wire::Mac;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime::{Builder, Runtime};

/// How long anything may take: a multiple of every promise, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Our interface's hardware address.
pub(crate) const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// The interface `lan0` here and `eth0` of the peer, 192.168.1.10 and fd00::10, with a wire between them.
pub(crate) struct Segment {
    peer: Child,
}

impl Segment {
    /// Both ends are up.
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = command.spawn().unwrap();
        // `unshare` becomes `cat` once the namespace is there, and `cat` answers.
        peer.stdin.as_mut().unwrap().write_all(b".").unwrap();
        peer.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let segment = Self { peer };
        segment.plug_in();
        segment
    }

    /// Connects the peer.
    pub(crate) fn plug_in(&self) {
        let peer = self.peer.id();
        ip(&format!("link add lan0 address {OUR_MAC} type veth peer name eth0 netns {peer}"));
        self.peer_ip("link set eth0 up");
        self.peer_ip("address add 192.168.1.10/24 dev eth0");
        self.peer_ip("address add fd00::10/64 dev eth0 nodad");
        ip("link set lan0 up");
    }

    /// Adds a second wire, `lan1`, and makes one segment of both: the peer's addresses move to its bridge `br0`.
    pub(crate) fn plug_in_twice(&self, mac: &str) {
        let peer = self.peer.id();
        self.peer_ip("link add br0 type bridge");
        self.peer_ip("address flush dev eth0");
        self.peer_ip("link set eth0 master br0");
        self.peer_ip("link set br0 up");
        self.peer_ip("address add 192.168.1.10/24 dev br0");
        ip(&format!("link add lan1 address {mac} type veth peer name eth1 netns {peer}"));
        self.peer_ip("link set eth1 master br0");
        self.peer_ip("link set eth1 up");
        ip("link set lan1 up");
    }

    /// Adds a second wire, on a segment of its own; gives the index of the peer's end.
    pub(crate) fn plug_in_beside(&self, name: &str) -> LinkId {
        let peer = self.peer.id();
        ip(&format!("link add {name} type veth peer name eth9 netns {peer}"));
        self.peer_ip("link set eth9 up");
        ip(&format!("link set {name} up"));
        LinkId(self.peer_ip("-oneline link show dev eth9").split(':').next().unwrap().parse().unwrap())
    }

    /// The index of `lan0`.
    pub(crate) fn link() -> LinkId {
        LinkId(ip("-oneline link show dev lan0").split(':').next().unwrap().parse().unwrap())
    }

    /// A program that will run on the peer.
    pub(crate) fn peer_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.peer.id())).arg(program);
        command
    }

    /// The index and hardware address of the peer's `eth0`.
    pub(crate) fn peer_link(&self) -> (LinkId, Mac) {
        let line = self.peer_ip("-oneline link show dev eth0");
        let index = line.split(':').next().unwrap().parse().unwrap();
        let mac = line.split_once("link/ether ").unwrap().1.split_whitespace().next().unwrap();
        let octets: Vec<u8> = mac.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
        (LinkId(index), Mac(octets.try_into().unwrap()))
    }

    /// Moves this thread to the peer, for good.
    pub(crate) fn enter_peer(&self) {
        let net = File::open(format!("/proc/{}/ns/net", self.peer.id())).unwrap();
        move_into_link_name_space(net.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Runs `ip` on the peer.
    pub(crate) fn peer_ip(&self, arguments: &str) -> String {
        run(self.peer_command("ip"), arguments)
    }

    /// Makes the peer's kernel ask for an address, and gives its entry.
    pub(crate) fn peer_asks_for(&self, address: &str) -> String {
        let send = format!("echo > /dev/udp/{address}/9");
        // What the datagram comes to does not matter.
        _ = self.peer_command("bash").args(["-c", &send]).stderr(Stdio::null()).status().unwrap();
        self.peer_entry(address)
    }

    /// The peer's neighbour entry for an address.
    pub(crate) fn peer_entry(&self, address: &str) -> String {
        self.peer_ip(&format!("neighbor show {address}"))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // The namespace and the wire go with the process; the kernel takes its time for that.
        _ = Command::new("ip").args(["link", "delete", "lan0"]).stderr(Stdio::null()).status();
        _ = self.peer.kill();
        _ = self.peer.wait();
    }
}

/// Runs `ip` here.
pub(crate) fn ip(arguments: &str) -> String {
    run(Command::new("ip"), arguments)
}

/// Runs `ip` here for each line.
pub(crate) fn ip_batch(lines: &str) {
    let mut command = Command::new("ip");
    let mut program = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    program.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(program.wait().unwrap().success());
}

/// Makes the peer the gateway of an interface. A speaker claims nothing before it heard some other host there, and it asks
/// gateways.
pub(crate) fn route_by_peer(interface: &str) {
    ip(&format!("address replace 192.168.1.1/24 dev {interface}"));
    ip(&format!("route replace default via 192.168.1.10 dev {interface}"));
}

/// A runtime as the binary has it.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn run(mut program: Command, arguments: &str) -> String {
    let output = program.args(arguments.split_whitespace()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
