//! Packet sockets: one for each interface, protocol and lane.
#![expect(unsafe_code, reason = "the only calls that no safe wrapper offers are kept in this file")]

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use libc::{packet_mreq, sockaddr_ll, socklen_t, tpacket_stats};
use rustix::event::{PollFd, PollFlags, poll};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use super::Protocol;
use super::filter::{LANES, Lane};
use crate::link::LinkId;

/// Receives the frames of one protocol on one interface, and sends frames there.
///
/// Inside are as many sockets as there are lanes, each for some of the Ethernet sources: a queue that one source fills
/// loses frames of those only that share its lane.
#[derive(Debug)]
pub struct FrameSocket {
    protocol: Protocol,
    lanes: [Socket; LANES],
}

impl FrameSocket {
    /// Opens a socket on an interface.
    ///
    /// # Errors
    /// `EPERM` without the capability NET_RAW, `ENODEV` if the interface is gone.
    pub fn open(link: LinkId, protocol: Protocol) -> io::Result<Self> {
        let seed = random();
        let open = |index| open_lane(link, protocol, Lane { index, seed });
        let lanes = [open(0)?, open(1)?, open(2)?, open(3)?];
        Ok(Self { protocol, lanes })
    }

    /// Has the card pass on frames that are for others too, as long as the socket is open: some, mostly Wi-Fi, pass on
    /// broadcasts only then. The filter drops what is for others.
    ///
    /// # Errors
    /// When the card can't.
    pub fn set_promiscuous(&self, link: LinkId) -> io::Result<()> {
        let membership = packet_mreq {
            mr_ifindex: link.0.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let [first, ..] = &self.lanes;
        // SAFETY: the descriptor is open; the pointer is to a value of this option's type, whose length is given, and
        // the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(
                first.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const membership).cast(),
                length_of::<packet_mreq>(),
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// What becomes readable when a lane has a frame, for each lane.
    pub(super) fn lanes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.lanes.iter().map(Socket::as_fd)
    }

    /// Receives a frame from a lane, if there is one, and gives its length. A frame that is longer than the buffer is
    /// cut off. An interface that is down is no error: nothing is received.
    ///
    /// # Errors
    /// When the kernel can't be asked.
    pub(super) fn receive_from(&self, lane: usize, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(mut socket) = self.lanes.get(lane) else { return Ok(None) };
        loop {
            match socket.read(buffer) {
                Ok(length) => return Ok(Some(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // Left by the kernel when the link went down, on every lane.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a frame, from any lane, and receives it; gives its length, or nothing if none came in time. It is for
    /// who has one socket only.
    ///
    /// # Errors
    /// When the kernel can't be asked.
    pub fn receive(&self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        let mut lanes = self.lanes.each_ref().map(|lane| PollFd::new(lane, PollFlags::IN));
        poll(&mut lanes, Some(&patience.try_into().map_err(io::Error::other)?))?;
        let ready = lanes.iter().position(|lane| !lane.revents().is_empty());
        ready.map_or(Ok(None), |lane| self.receive_from(lane, buffer))
    }

    /// Divides the sources among the lanes anew, so that nobody shares one with a flooder for long. Frames that come at
    /// this moment may be lost or received twice.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn shuffle(&self) -> io::Result<()> {
        let seed = random();
        let mut lanes = self.lanes.iter().enumerate();
        lanes.try_for_each(|(index, lane)| lane.attach_filter(&self.protocol.filter(Lane { index, seed })))
    }

    /// Sends one frame at once or not at all.
    ///
    /// # Errors
    /// `ENOBUFS` or `EAGAIN` when the queue is full, `ENETDOWN` or `ENXIO` when the interface is down or gone.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let [socket, ..] = &self.lanes;
        match socket.send(frame) {
            // When a link goes down the kernel leaves the error on the socket for whoever calls next, even if the
            // link is up again by then.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => socket.send(frame).map(drop),
            result => result.map(drop),
        }
    }

    /// How many frames the kernel dropped since the last call, as the queue was full.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn take_drops(&self) -> io::Result<u64> {
        self.lanes.iter().map(take_drops).sum()
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn open_lane(link: LinkId, protocol: Protocol, lane: Lane) -> io::Result<Socket> {
    // With protocol 0 nothing is received, so no unfiltered frame is queued before the filter is there.
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
    socket.attach_filter(&protocol.filter(lane))?;
    socket.bind(&address(link, protocol))?;
    Ok(socket)
}

/// The frames dropped since the last call.
fn take_drops(lane: &Socket) -> io::Result<u64> {
    // SAFETY: all fields are integers, for which zero is a value.
    let mut statistics: tpacket_stats = unsafe { mem::zeroed() };
    let mut length = length_of::<tpacket_stats>();
    // SAFETY: the descriptor is open; the pointers are to a value of this option's type and to its
    // length, both of which live until the call returns, and the kernel writes no more than the length.
    let result = unsafe {
        libc::getsockopt(
            lane.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(statistics.tp_drops))
}

/// The address that binds a socket to an interface and a protocol.
fn address(link: LinkId, protocol: Protocol) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` consists of integers only and is one of the socket address types, so it fits
    // into the storage, is aligned like it, and any bytes are a value of it.
    let address = unsafe { storage.view_as::<sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = protocol.ethertype().to_be();
    address.sll_ifindex = link.0.cast_signed();
    // SAFETY: the storage was zeroed and then filled as a `sockaddr_ll`, whose length this is.
    unsafe { SockAddr::new(storage, length_of::<sockaddr_ll>()) }
}

/// The size of a type as the socket calls want it.
fn length_of<T>() -> socklen_t {
    mem::size_of::<T>() as socklen_t
}
