//! Packet sockets: one for each interface and protocol.
#![expect(unsafe_code, reason = "the only calls that no safe wrapper offers are kept in this file")]

use std::io::{self, Read};
use std::mem;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use libc::{sockaddr_ll, socklen_t, tpacket_stats};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::Protocol;
use crate::link::LinkId;

/// Receives the frames of one protocol on one interface, and sends frames there.
#[derive(Debug)]
pub struct FrameSocket {
    socket: AsyncFd<Socket>,
    /// Frames that the kernel dropped, as far as they were read; reading them resets the kernel's counter.
    drops: u64,
}

impl FrameSocket {
    /// Opens a socket on an interface. Must be called within a runtime.
    ///
    /// # Errors
    /// `EPERM` without the capability NET_RAW, `ENODEV` if the interface is gone.
    pub fn open(link: LinkId, protocol: Protocol) -> io::Result<Self> {
        // With protocol 0 nothing is received, so no unfiltered frame is queued before the filter is there.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        socket.attach_filter(protocol.filter())?;
        socket.bind(&address(link, protocol))?;
        // SAFETY: the `AsyncFd` owns the socket, which keeps its one descriptor open until it is dropped; it
        // is never taken out or exchanged.
        let socket = unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)?;
        Ok(Self { socket, drops: 0 })
    }

    /// Receives one frame and gives its length. A frame that is longer than the buffer is cut off.
    ///
    /// # Errors
    /// `ENETDOWN` when the interface goes down; the socket works again once it is up.
    pub fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(cx))?;
            if let Ok(result) = guard.try_io(|socket| socket.get_ref().read(buffer)) {
                return Poll::Ready(result);
            }
        }
    }

    /// Sends one frame at once or not at all.
    ///
    /// # Errors
    /// `ENOBUFS` or `EAGAIN` when the queue is full, `ENETDOWN` or `ENXIO` when the interface is down or gone.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let socket = self.socket.get_ref();
        match socket.send(frame) {
            // When a link goes down the kernel leaves the error on the socket for whoever calls next, even if the
            // link is up again by then.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => socket.send(frame).map(drop),
            result => result.map(drop),
        }
    }

    /// How many frames the kernel dropped since the socket was opened, as the queue was full.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn drops(&mut self) -> io::Result<u64> {
        // SAFETY: all fields are integers, for which zero is a value.
        let mut statistics: tpacket_stats = unsafe { mem::zeroed() };
        let mut length = length_of::<tpacket_stats>();
        // SAFETY: the descriptor is open; the pointers are to a value of this option's type and to its
        // length, both of which live until the call returns, and the kernel writes no more than the length.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        self.drops += u64::from(statistics.tp_drops);
        Ok(self.drops)
    }
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
