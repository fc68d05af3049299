//! The packet sockets of all links.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use super::exclusion::Patterns;
use super::{FrameSocket, Protocol};
use crate::link::{LinkId, Links};
use crate::wire::Packet;

/// Room for a frame. Longer ones are cut off, and then refused: no question or answer that matters comes near.
pub const BUFFER_LEN: usize = 2048;
/// Lanes of which it is learned at once that they have frames.
const AT_ONCE: usize = 64;

/// One socket for each link and protocol, and a bell that others can ring.
///
/// With each socket comes a value `T`, made when it is opened.
///
/// A frame costs two calls of the kernel here: it tells which lanes have one, again and again as long as they do, so
/// none is asked in vain. Lanes that have frames have their turns one after the other.
#[derive(Debug)]
pub struct Sockets<T> {
    open: BTreeMap<Port, (FrameSocket, T)>,
    /// The names of the links when their sockets were opened.
    names: BTreeMap<LinkId, String>,
    epoll: OwnedFd,
    bell: Bell,
    alarm: Alarm,
    /// The lanes that have frames.
    ready: Vec<u64>,
}

/// Ends the wait for frames. Clones ring the same.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

/// Ends the wait for frames at a time.
///
/// A wait with a time limit costs a timer each time that a frame ends it. This one is set when a time comes that is sooner
/// than the one before.
#[derive(Debug)]
struct Alarm {
    descriptor: OwnedFd,
    /// When it rings, unless it did.
    due: Option<Instant>,
}

/// A link and a protocol on it.
pub type Port = (LinkId, Protocol);

/// What became of a socket.
#[derive(Debug)]
pub enum Opened {
    /// It is open.
    Yes,
    /// It could not be opened, and is worth another try.
    No(io::Error),
}

impl Bell {
    /// Ends the wait for frames that is under way, or the next one.
    pub fn ring(&self) {
        // It fails only when it was rung 2⁶⁴ times already.
        _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn still(&self) {
        // It fails only when it was not rung.
        _ = rustix::io::read(&*self.0, &mut [0; size_of::<u64>()]);
    }
}

impl Alarm {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { descriptor: timerfd_create(TimerfdClockId::Monotonic, flags)?, due: None })
    }

    /// Has it ring at a time at the latest; it may ring once before.
    fn set(&mut self, due: Instant, now: Instant) -> io::Result<()> {
        if self.due.is_some_and(|set| set <= due) {
            return Ok(());
        }
        // A time of 0 would turn it off.
        let time = due.saturating_duration_since(now).max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        self.due = Some(due);
        Ok(())
    }

    fn still(&mut self) {
        // It fails only when it did not ring.
        _ = rustix::io::read(&self.descriptor, &mut [0; size_of::<u64>()]);
        self.due = None;
    }
}

impl<T> Sockets<T> {
    /// No sockets yet.
    ///
    /// # Errors
    /// When the process has too many open files.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Bell(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        epoll::add(&epoll, &bell.0, EventData::new_u64(BELL), EventFlags::IN)?;
        let alarm = Alarm::new()?;
        epoll::add(&epoll, &alarm.descriptor, EventData::new_u64(ALARM), EventFlags::IN)?;
        Ok(Self {
            open: BTreeMap::new(),
            names: BTreeMap::new(),
            epoll,
            bell,
            alarm,
            ready: Vec::with_capacity(AT_ONCE),
        })
    }

    /// What ends a wait.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Closes the sockets of links that are gone or have another name, and opens those that are missing, promiscuously where
    /// the link's name matches; gives those that it tried to open.
    pub fn sync(
        &mut self,
        links: &Links,
        promiscuous: &Patterns,
        make: impl Fn(Port) -> T,
    ) -> Vec<(Port, Opened)> {
        let names = links.iter().map(|(&link, it)| (link, it.name.clone())).collect();
        let before = std::mem::replace(&mut self.names, names);
        self.open
            .retain(|(link, _), _| self.names.get(link).is_some_and(|name| before.get(link) == Some(name)));
        let wanted = links.keys().flat_map(|&link| Protocol::ALL.map(|protocol| (link, protocol)));
        let missing: Vec<Port> = wanted.filter(|port| !self.open.contains_key(port)).collect();
        let named = |link: LinkId| links.get(&link).is_some_and(|link| promiscuous.matches(&link.name));
        let open_one = |(link, protocol): Port| {
            let socket = FrameSocket::open(link, protocol)?;
            if named(link) {
                socket.set_promiscuous(link)?;
            }
            for (lane, descriptor) in socket.lanes().enumerate() {
                let data = EventData::new_u64(pack((link, protocol), lane));
                epoll::add(&self.epoll, descriptor, data, EventFlags::IN)?;
            }
            Ok(socket)
        };
        let open = |port: Port| match open_one(port) {
            Ok(socket) => {
                self.open.insert(port, (socket, make(port)));
                (port, Opened::Yes)
            }
            Err(error) => (port, Opened::No(error)),
        };
        missing.into_iter().map(open).collect()
    }

    /// Waits until there are frames or somebody rang, and no longer than to a time; now and then it ends without a cause.
    /// Says whether somebody rang.
    ///
    /// # Errors
    /// When the kernel can't be asked.
    pub fn wait(&mut self, until: Instant, now: Instant) -> io::Result<bool> {
        if until <= now {
            return self.look();
        }
        self.alarm.set(until, now)?;
        self.take_up(None)
    }

    /// Looks for frames that are there already. Says whether somebody rang.
    ///
    /// # Errors
    /// When the kernel can't be asked.
    pub fn look(&mut self) -> io::Result<bool> {
        self.take_up(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }

    fn take_up(&mut self, time: Option<&Timespec>) -> io::Result<bool> {
        let mut events = [const { MaybeUninit::uninit() }; AT_ONCE];
        let events = match epoll::wait(&self.epoll, &mut events, time) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.ready.clear();
        let mut rung = false;
        for event in &*events {
            match event.data.u64() {
                BELL => rung = true,
                ALARM => self.alarm.still(),
                lane => self.ready.push(lane),
            }
        }
        if rung {
            self.bell.still();
        }
        Ok(rung)
    }

    /// Whether some of the frames that were waited for were not received yet.
    pub fn has_frames(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Receives the next of the frames that were waited for, one from each lane.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<(Port, io::Result<usize>)> {
        while let Some(number) = self.ready.pop() {
            let (port, lane) = unpack(number);
            let Some((socket, _)) = self.open.get(&port) else { continue };
            // A lane that was divided anew may have nothing any more.
            if let Some(received) = socket.receive_from(lane, buffer).transpose() {
                return Some((port, received));
            }
        }
        None
    }

    /// The socket on which a packet is sent, and the value that came with it.
    pub fn get(&self, link: LinkId, packet: &Packet) -> Option<(&FrameSocket, &T)> {
        let protocol = match packet {
            Packet::Arp(_) => Protocol::Arp,
            Packet::Solicitation(_) | Packet::Advertisement(_) => Protocol::Ndp,
        };
        self.open.get(&(link, protocol)).map(|(socket, value)| (socket, value))
    }

    /// The value that came with a socket.
    pub fn value(&self, port: Port) -> Option<&T> {
        self.open.get(&port).map(|(_, value)| value)
    }

    /// All sockets, with their values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Port, &mut FrameSocket, &T)> {
        self.open.iter_mut().map(|(&port, (socket, value))| (port, socket, &*value))
    }
}

/// What tells the bell and the alarm from lanes.
const BELL: u64 = u64::MAX;
const ALARM: u64 = BELL - 1;

/// A lane as the number that the kernel gives back.
fn pack((LinkId(link), protocol): Port, lane: usize) -> u64 {
    let protocol = match protocol {
        Protocol::Arp => 0,
        Protocol::Ndp => 1,
    };
    u64::from(link) << 16 | protocol << 8 | lane as u64
}

fn unpack(number: u64) -> (Port, usize) {
    let [_, _, a, b, c, d, protocol, lane] = number.to_be_bytes();
    let protocol = if protocol == 0 { Protocol::Arp } else { Protocol::Ndp };
    ((LinkId(u32::from_be_bytes([a, b, c, d])), protocol), lane.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_gives_a_lane_back_as_it_was() {
        for port in [(LinkId(1), Protocol::Arp), (LinkId(u32::MAX), Protocol::Ndp)] {
            for lane in 0..4 {
                assert_eq!(unpack(pack(port, lane)), (port, lane));
                assert!(![BELL, ALARM].contains(&pack(port, lane)));
            }
        }
    }

    #[test]
    fn a_time_that_is_sooner_than_the_one_before_ends_a_wait() {
        let mut sockets = Sockets::<()>::new().unwrap();
        let start = now();
        // The alarm of the first wait, which the bell ends, is still set at the second.
        sockets.bell().ring();
        assert!(sockets.wait(start + Duration::from_secs(600), start).unwrap());
        assert!(!sockets.wait(start + Duration::from_millis(10), start).unwrap());
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(10) && took < Duration::from_secs(300), "{took:?}");
    }

    #[test]
    fn a_time_that_is_later_than_the_one_before_is_waited_for() {
        let mut sockets = Sockets::<()>::new().unwrap();
        let start = now();
        sockets.bell().ring();
        assert!(sockets.wait(start + Duration::from_millis(10), start).unwrap());
        let until = start + Duration::from_millis(60);
        let waits = (1..).find(|_| {
            assert!(!sockets.wait(until, now()).unwrap());
            now() >= until
        });
        assert!(waits <= Some(2), "one may end at the sooner time: {waits:?}");
    }

    #[test]
    fn who_rings_ends_the_next_wait_and_no_other() {
        let mut sockets = Sockets::<()>::new().unwrap();
        sockets.bell().ring();
        sockets.bell().ring();
        assert!(sockets.wait(now() + Duration::from_secs(60), now()).unwrap());
        assert!(!sockets.look().unwrap());
        assert!(sockets.receive(&mut []).is_none());
    }

    #[expect(clippy::disallowed_methods, reason = "the kernel's clock runs")]
    fn now() -> Instant {
        Instant::now()
    }
}
