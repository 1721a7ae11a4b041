//! The frames descriptor: a TUN device with super-frames on, or one end of a pair whose other end is a netstack.

#[cfg(test)]
mod tests;

use super::fd::{check, set_nonblocking};
use super::netlink::{LinkConfig, Netlink};
use super::offload::VNET;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// The most parts of one super-frame: as many as one batch of datagrams can bring.
pub const PARTS: usize = 64;

const CSUM_TSO: libc::c_uint =
    libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
const USO: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6; // Linux 6.2 and later

/// Packets that may wait in the device for the engine.
const QUEUE_LENGTH: u32 = 1000;
/// A super-frame of 45 full segments fills one batch of datagrams exactly; more would spill into the next.
const GSO_SEGMENTS: u32 = 45;

/// One message is a vnet header of ten bytes in host order and a packet or super-frame of up to 64 KiB.
pub struct Tun {
    file: File,
    name: Option<String>,
    socket: bool,
    takes_udp: bool,
    skipped: Vec<IpAddr>,
}

impl Tun {
    /// Makes the device `name` (a `%d` in it becomes a number) and brings it up with these addresses. It goes away with
    /// the descriptor. Errors are one sentence: no permission, name in use, no TUN in this kernel.
    pub fn open(
        name: &str,
        multi_queue: bool,
        mtu: u16,
        addresses: &[(IpAddr, u8)],
    ) -> io::Result<Self> {
        let mut tun = Self::open_queue(name, multi_queue)?;
        let name = tun.name.as_deref().unwrap_or(name);
        let mut netlink = Netlink::open()?;
        let link = netlink.index(name)?;
        let config = LinkConfig { mtu, queue_length: QUEUE_LENGTH, gso_segments: GSO_SEGMENTS };
        netlink.configure(link, &config)?;
        tun.skipped = netlink.add_addresses(link, addresses)?;
        netlink.up(link)?;
        let set = addresses.iter().map(|&(address, _)| address);
        netlink.settle(set.filter(|address| !tun.skipped.contains(address)))?;
        Ok(tun)
    }

    /// Makes the device with this MTU, and leaves addresses and "up" to somebody else.
    pub fn make(name: &str, multi_queue: bool, mtu: u16) -> io::Result<Self> {
        let tun = Self::open_queue(name, multi_queue)?;
        let mut netlink = Netlink::open()?;
        let link = netlink.index(tun.name.as_deref().unwrap_or(name))?;
        let config = LinkConfig { mtu, queue_length: QUEUE_LENGTH, gso_segments: GSO_SEGMENTS };
        netlink.configure(link, &config)?;
        Ok(tun)
    }

    /// Opens one queue of `name` without configuring it, and makes the device if it is not there.
    pub fn open_queue(name: &str, multi_queue: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open("/dev/net/tun").map_err(|error| explain_open(&error))?;
        let mut flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        if multi_queue {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        let mut request = request(name)?;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
            .map_err(|error| explain_attach(&error, name))?;
        let takes_udp = set_offload(&file)?;
        let name = request.ifr_name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0);
        let name = String::from_utf8(name.collect()).ok();
        Ok(Self { file, name, socket: false, takes_udp, skipped: Vec::new() })
    }

    /// Takes a descriptor that came from elsewhere and carries the same messages: a TUN with vnet header, already
    /// configured, or a message-keeping unix socket. It is set not to block.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&fd)?;
        let file = File::from(fd);
        let mut request = request("")?;
        // SAFETY: TUNGETIFF writes one ifreq, which outlives the call; on anything but a TUN it fails.
        let tun =
            unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETIFF as _, &raw mut request) } == 0;
        let name = request.ifr_name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0);
        let name = if tun { String::from_utf8(name.collect()).ok() } else { None };
        if tun {
            // SAFETY: the kernel has filled in the flags for TUNGETIFF.
            let flags = unsafe { request.ifr_ifru.ifru_flags } as libc::c_int;
            if flags & libc::IFF_VNET_HDR == 0
                || flags & libc::IFF_NO_PI == 0
                || flags & libc::IFF_TUN == 0
            {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "this TUN gives packets without a vnet header",
                ));
            }
        }
        let takes_udp = tun && set_offload(&file)?;
        Ok(Self { file, name, socket: !tun, takes_udp, skipped: Vec::new() })
    }

    /// The interface's name; none for a socket.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether super-frames of UDP can be written (a TUN of Linux 6.2 or later): what to make the `Merger` with.
    pub fn takes_udp_super_frames(&self) -> bool {
        self.takes_udp
    }

    /// IPv6 addresses that could not be set because this machine has IPv6 switched off.
    pub fn skipped(&self) -> &[IpAddr] {
        &self.skipped
    }

    /// Reads one message, vnet header first; nothing when the queue is empty. A closed pair reads `UnexpectedEof`.
    /// `slab` holds `VNET` + 65,536 bytes: what does not fit is lost.
    pub fn read(&self, slab: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.file).read(slab) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(Some(length)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes one message whose packet lies in parts of `arena` (at most [`PARTS`]), so that merging moves no payload.
    /// `WouldBlock`: the other side is full; drop it, as a wire would.
    pub fn write(&self, vnet: &[u8; VNET], arena: &[u8], parts: &[Range<usize>]) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); PARTS + 1];
        slices[0] = IoSlice::new(vnet);
        for (slice, part) in slices[1..].iter_mut().zip(parts) {
            *slice = IoSlice::new(&arena[part.clone()]);
        }
        let slices = &slices[..parts.len().min(PARTS) + 1];
        if !self.socket {
            return (&self.file).write_vectored(slices).map(drop);
        }
        // SAFETY: msghdr is plain old data, and all zeros is a valid value of it.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = slices.as_ptr() as *mut libc::iovec; // IoSlice is an iovec by its contract
        message.msg_iovlen = slices.len() as _;
        // SAFETY: the slices outlive the call, and sendmsg only reads there. A gone reader must not raise SIGPIPE.
        let sent = unsafe { libc::sendmsg(self.file.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
        check(sent.min(0) as libc::c_int).map(drop)
    }

    /// Writes one whole message.
    pub fn write_packet(&self, vnet: &[u8; VNET], packet: &[u8]) -> io::Result<()> {
        self.write(vnet, packet, std::slice::from_ref(&(0..packet.len())))
    }
}

/// Says which super-frames may be read, and whether those of UDP are among them; the kernel takes the same when written to.
/// A persistent device would keep what the program before asked for.
fn set_offload(tun: &File) -> io::Result<bool> {
    let offload = |features: libc::c_uint| {
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        check(unsafe {
            libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, features as libc::c_ulong)
        })
    };
    match offload(CSUM_TSO | USO) {
        Ok(_) => Ok(true),
        Err(_) => offload(CSUM_TSO).map(|_| false),
    }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is plain old data, and all zeros is a valid value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        let sentence = format!("the interface name {name} is longer than 15 bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn explain_open(error: &io::Error) -> io::Error {
    let sentence = match error.kind() {
        io::ErrorKind::NotFound => "this kernel has no TUN: /dev/net/tun is missing".to_string(),
        io::ErrorKind::PermissionDenied => "no permission to open /dev/net/tun".to_string(),
        _ => format!("/dev/net/tun cannot be opened: {error}"),
    };
    io::Error::new(error.kind(), sentence)
}

fn explain_attach(error: &io::Error, name: &str) -> io::Error {
    let (kind, sentence) = match error.raw_os_error() {
        Some(libc::EBUSY) => {
            (io::ErrorKind::AddrInUse, format!("the interface {name} is in use by another program"))
        }
        Some(libc::EPERM) => (
            io::ErrorKind::PermissionDenied,
            format!("no permission to make the interface {name}: that needs root or CAP_NET_ADMIN"),
        ),
        Some(libc::EINVAL) => (
            io::ErrorKind::AlreadyExists,
            format!(
                "the name {name} is no valid interface name or belongs to an interface of another kind"
            ),
        ),
        _ => (error.kind(), format!("the interface {name} cannot be made: {error}")),
    };
    io::Error::new(kind, sentence)
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
