//! Where inner packets come from and go to, opened.

use super::handle::failed;
use super::{DeviceError, InterfaceOptions};
use crate::io::{LinkWatch, Tun};
use std::io;
use std::net::IpAddr;

pub struct Interface {
    /// A queue for each shard.
    pub queues: Vec<Tun>,
    pub mtu: u16,
    pub addresses: Vec<(IpAddr, u8)>,
    pub merge_udp: bool,
    /// Of an interface that somebody else sets up.
    pub watch: Option<LinkWatch>,
}

pub fn open_interface(options: InterfaceOptions, shards: usize) -> Result<Interface, DeviceError> {
    match options {
        InterfaceOptions::Tun { name, mtu, mut addresses } => {
            let doing = failed(format!("making the interface {name}"));
            let tun = Tun::open(&name, shards > 1, mtu, &addresses).map_err(&doing)?;
            addresses.retain(|(address, _)| !tun.skipped().contains(address));
            let merge_udp = tun.takes_udp_super_frames();
            let queues = queues(tun, shards).map_err(doing)?;
            Ok(Interface { queues, mtu, addresses, merge_udp, watch: None })
        }
        InterfaceOptions::Plain { name, mtu } => {
            let doing = failed(format!("making the interface {name}"));
            let tun = Tun::make(&name, shards > 1, mtu).map_err(&doing)?;
            let watch = LinkWatch::open(tun.name().unwrap_or(&name)).map_err(&doing)?;
            let merge_udp = tun.takes_udp_super_frames();
            let queues = queues(tun, shards).map_err(doing)?;
            Ok(Interface { queues, mtu, addresses: Vec::new(), merge_udp, watch: Some(watch) })
        }
        InterfaceOptions::Frames { fd, mtu, addresses, merge_udp } => {
            if shards > 1 {
                let words = "a frames descriptor is one queue: it takes one shard";
                return Err(DeviceError::Invalid(words.to_owned()));
            }
            let tun =
                Tun::from_fd(fd).map_err(failed("taking the frames descriptor".to_owned()))?;
            let merge_udp = merge_udp && tun.takes_udp_super_frames();
            Ok(Interface { queues: vec![tun], mtu, addresses, merge_udp, watch: None })
        }
    }
}

/// The first queue and as many more as are needed.
fn queues(first: Tun, shards: usize) -> io::Result<Vec<Tun>> {
    let name = first.name().unwrap_or_default().to_owned();
    let more = (1..shards).map(|_| Tun::open_queue(&name, true));
    std::iter::once(Ok(first)).chain(more).collect()
}
