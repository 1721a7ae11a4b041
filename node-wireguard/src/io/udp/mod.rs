//! A UDP socket that moves batches: GSO out, GRO in, and for each datagram the local address that it came to.

mod filter;
mod name;
mod options;
mod receive;
mod refusal;
mod send;
#[cfg(test)]
mod tests;

use super::batch::Messages;
use super::fd::{check, set_buffers, set_option};
pub use filter::Instruction;
use name::Name;
pub use options::UdpOptions;
pub use refusal::SendError;
use refusal::is_too_big;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// One receive slot: a coalesced datagram may fill 64 KiB, and a smaller buffer cuts it silently.
pub const SLOT: usize = 1 << 16;
/// Slots of one receive. Few, so that a round of them stays in the L2 cache.
pub const SLOTS: usize = 4;
/// The most datagrams that every kernel takes in one call.
pub const BATCH_MESSAGES: usize = 64;
/// The most bytes of one call, prefixes included: the largest payload of UDP over IPv4.
pub const BATCH_BYTES: usize = 65_507;

const REFUSALS: usize = 16;

/// Where datagrams go, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub remote: SocketAddr,
    /// The local address to send from (sticky source); `None` lets the routing table choose.
    pub source: Option<IpAddr>,
    /// Put in front of every message: a forwarder's header.
    pub prefix: Option<[u8; super::PREFIX]>,
}

impl Destination {
    /// The plain destination: source by route, no prefix.
    pub fn new(remote: SocketAddr) -> Self {
        Self { remote, source: None, prefix: None }
    }
}

/// What one slot holds: `length` bytes, in datagrams of `stride` bytes but for a shorter last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub from: SocketAddr,
    /// The local address that was hit: the source of the answer.
    pub to: Option<IpAddr>,
    pub length: usize,
    /// Never 0: whoever walks a slot by strides comes to its end.
    pub stride: usize,
}

impl Default for Received {
    fn default() -> Self {
        let from = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self { from, to: None, length: 0, stride: 1 }
    }
}

/// How datagrams left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    AsAsked,
    /// The source address is no longer one of this machine's: forget it. The datagrams left with the route's own.
    WithoutSource,
}

/// A socket bound to one address of one family, not blocking, usable from several threads.
pub struct Udp {
    fd: OwnedFd,
    v6: bool,
    fragment: bool,
    hasher: RandomState,
    /// Hashes of remote addresses towards which the kernel refused segmentation offload (EIO: IPsec, no checksums).
    refusals: [AtomicU64; REFUSALS],
}

impl Udp {
    /// Binds; port 0 lets the kernel choose. IPv6 sockets are V6ONLY. Unless asked for, datagrams are never fragmented here,
    /// and what the kernel believes about the path's MTU is not asked: only the size that the outgoing interface takes counts.
    pub fn bind(local: SocketAddr, options: UdpOptions) -> io::Result<Self> {
        let v6 = local.is_ipv6();
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        // SAFETY: socket takes plain integers; what it returns is ours alone once checked.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(family, kind, 0))?) };
        if v6 {
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1i32)?;
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1i32)?;
            let how =
                if options.fragment { libc::IPV6_PMTUDISC_DONT } else { libc::IPV6_PMTUDISC_PROBE };
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &how)?;
        } else {
            set_option(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, &1i32)?;
            let how =
                if options.fragment { libc::IP_PMTUDISC_DONT } else { libc::IP_PMTUDISC_PROBE };
            set_option(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &how)?;
        }
        if options.reuse_port {
            set_option(&fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &1i32)?;
        }
        if options.mark != 0 {
            set_option(&fd, libc::SOL_SOCKET, libc::SO_MARK, &options.mark)?;
        }
        set_option(&fd, libc::SOL_UDP, libc::UDP_GRO, &1i32)?;
        set_buffers(&fd, options.buffer_bytes.min(i32::MAX as u32) as libc::c_int)?;
        let (name, length) = Name::of(local);
        // SAFETY: the name holds a socket address of the length told.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), length) })?;
        let refusals = [const { AtomicU64::new(0) }; REFUSALS];
        Ok(Self { fd, v6, fragment: options.fragment, hasher: RandomState::new(), refusals })
    }

    /// Changes the mark of packets from now on (SO_MARK); 0: none. Needs CAP_NET_ADMIN, unless nothing changes.
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        set_option(&self.fd, libc::SOL_SOCKET, libc::SO_MARK, &mark)
    }

    /// Ties it to one network device of this machine: it sends and receives by no other.
    pub fn tie_to_device(&self, device: &str) -> io::Result<()> {
        super::socket::tie_to_device(&self.fd, device)
    }

    /// Address and port that it is bound to.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let mut name = Name::default();
        let mut length = size_of::<Name>() as libc::socklen_t;
        // SAFETY: the name has room for the length told, and any socket address of our families fits.
        check(unsafe {
            libc::getsockname(self.fd.as_raw_fd(), (&raw mut name).cast(), &mut length)
        })?;
        name.address().ok_or_else(|| io::Error::other("a UDP socket without an IP address"))
    }

    /// Of so many sockets that share a port (`reuse_port`, bound in the order of their shards), the one whose number is byte 4
    /// of the message modulo their count gets it: the low byte of the receiver's session index. Asked of any of them.
    pub fn steer_by_session(&self, sockets: u32) -> io::Result<()> {
        let load_byte_4 = libc::sock_filter { code: 0x30, jt: 0, jf: 0, k: 4 };
        let modulo = libc::sock_filter { code: 0x94, jt: 0, jf: 0, k: sockets.max(1) };
        let return_it = libc::sock_filter { code: 0x16, jt: 0, jf: 0, k: 0 };
        let program = [load_byte_4, modulo, return_it];
        filter::attach(&self.fd, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
    }

    /// From now on the kernel takes in only what this program keeps, which sees each datagram from its UDP header on; none:
    /// all. What arrives joined (GRO) it sees as one, by the first of its headers.
    pub fn set_filter(&self, program: Option<&[Instruction]>) -> io::Result<()> {
        match program {
            Some(program) => filter::attach(&self.fd, libc::SO_ATTACH_FILTER, program),
            None => filter::detach(&self.fd),
        }
    }

    /// Datagrams that were dropped here before anybody could receive them, by the program or for want of room; the count
    /// begins anew at 2^32.
    pub fn dropped(&self) -> io::Result<u32> {
        filter::dropped(&self.fd)
    }

    /// Sends `bytes` as messages of `stride` bytes, the last one perhaps shorter, in as few calls as the kernel allows.
    /// Where it refuses offload towards an address, that is remembered and datagrams go one by one.
    pub fn send(&self, bytes: &[u8], stride: usize, to: &Destination) -> Result<Sent, SendError> {
        self.send_messages(Messages::new(bytes, stride), to, true)
    }

    /// The same for what a batch gives. Without `offload` each datagram leaves by itself: for a path that loses batches.
    pub fn send_messages(
        &self,
        messages: Messages<'_>,
        to: &Destination,
        offload: bool,
    ) -> Result<Sent, SendError> {
        let stride = messages.stride;
        if stride == 0 || to.remote.is_ipv6() != self.v6 {
            return Err(SendError::Failed(io::ErrorKind::InvalidInput.into()));
        }
        let (mut to, mut sent) = (*to, Sent::AsAsked);
        let each = stride + to.prefix.map_or(0, |prefix| prefix.len());
        let most = (BATCH_BYTES / each).clamp(1, BATCH_MESSAGES);
        for batch in messages.runs(most) {
            match self.send_batch(batch, &to, offload) {
                // A source that is gone reads EINVAL or, by kernel and family, one of the others: so try without it.
                Err(SendError::TooBig | SendError::Failed(_)) if to.source.is_some() => {
                    to.source = None;
                    self.send_batch(batch, &to, offload)?;
                    sent = Sent::WithoutSource;
                }
                other => other?,
            }
        }
        Ok(sent)
    }

    fn send_batch(
        &self,
        batch: Messages<'_>,
        to: &Destination,
        offload: bool,
    ) -> Result<(), SendError> {
        if offload && batch.count() > 1 {
            let (place, refusal) = self.refusal_of(to);
            let known = &self.refusals[place];
            if known.load(Ordering::Relaxed) != refusal {
                match send::segmented(self.fd.as_fd(), batch, to) {
                    Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                        known.store(refusal, Ordering::Relaxed)
                    }
                    // The kernel cuts a datagram into fragments only when it comes alone.
                    Err(error) if self.fragment && is_too_big(&error) => {}
                    other => return Ok(other?),
                }
            }
        }
        Ok(send::singly(self.fd.as_fd(), batch, to)?)
    }

    /// Where a refusal towards this address is kept, and what is kept: never 0.
    fn refusal_of(&self, to: &Destination) -> (usize, u64) {
        let hash = self.hasher.hash_one(to.remote.ip()) | 1;
        (hash as usize / 2 % REFUSALS, hash)
    }

    /// Fills slots of `arena` (`SLOTS` times `SLOT` bytes) with what has arrived, and says how many; 0 when nothing is.
    /// Each slot holds datagrams of one sender side by side.
    pub fn receive(&self, arena: &mut [u8], into: &mut [Received; SLOTS]) -> io::Result<usize> {
        receive::receive(self.fd.as_fd(), arena, into)
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
