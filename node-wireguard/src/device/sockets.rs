//! The device's UDP sockets, and others in their place while it runs.

use super::{DeviceError, SocketInfo};
use crate::io::{Udp, UdpOptions};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Other sockets may have a port by chance that the first one got: so often another is taken.
const ATTEMPTS: usize = 16;

/// One address, and a socket there for each shard: the kernel brings the datagrams of a session to the shard of its index.
#[derive(Clone)]
pub struct Socket {
    pub info: SocketInfo,
    shared: Arc<[Udp]>,
}

impl Socket {
    /// The socket of a shard; what is sent by one of them cannot be told from what the others send.
    pub fn of(&self, shard: usize) -> &Udp {
        &self.shared[shard]
    }

    pub fn all(&self) -> &[Udp] {
        &self.shared
    }

    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

pub type Sockets = Arc<[Socket]>;

/// How the sockets are made, at first and each time that the port changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// Mark of the packets (SO_MARK), for routing policy and firewalls; 0: none. Needs CAP_NET_ADMIN.
    pub mark: u32,
    /// The network device that they are tied to; none: all.
    pub interface: Option<String>,
    /// Datagrams too long for the way are cut into IP fragments; for devices whose peers are all vanilla.
    pub fragment: bool,
    /// All have one port, also when that is a free one of the kernel's choice.
    pub one_port: bool,
    /// Shards that share each address; 0 is 1, and `Device::open` sets it.
    pub shards: usize,
}

/// One socket for each address.
pub fn bind_all(
    listen: &[SocketAddr],
    options: &SocketOptions,
) -> Result<Vec<Socket>, DeviceError> {
    if options.one_port {
        let wanted: Vec<_> = listen.iter().map(|local| (*local, None)).collect();
        return bind_at_one_port(&wanted, options);
    }
    (0..).zip(listen).map(|(id, local)| bind(id, *local, options)).collect()
}

/// The same addresses at another port; 0 takes a free one. What has that port already stays as it is.
pub fn rebind(
    old: &[Socket],
    port: u16,
    options: &SocketOptions,
) -> Result<Vec<Socket>, DeviceError> {
    let wanted: Vec<_> = old
        .iter()
        .map(|socket| {
            let same = socket.info.local.port() == port;
            (SocketAddr::new(socket.info.local.ip(), port), same.then(|| socket.clone()))
        })
        .collect();
    for (index, (local, _)) in wanted.iter().enumerate() {
        if wanted[..index].iter().any(|(other, _)| other == local) {
            let words = format!("two sockets listen at {}: they cannot have one port", local.ip());
            return Err(DeviceError::Invalid(words));
        }
    }
    bind_at_one_port(&wanted, options)
}

fn bind_at_one_port(
    wanted: &[(SocketAddr, Option<Socket>)],
    options: &SocketOptions,
) -> Result<Vec<Socket>, DeviceError> {
    let attempt = || {
        let mut bound: Vec<Socket> = Vec::new();
        for (id, (local, kept)) in (0..).zip(wanted) {
            let port = match local.port() {
                0 => bound.first().map_or(0, |first| first.info.local.port()),
                port => port,
            };
            bound.push(match kept {
                Some(kept) => kept.clone(),
                None => bind(id, SocketAddr::new(local.ip(), port), options)?,
            });
        }
        Ok(bound)
    };
    let chosen = wanted.iter().all(|(local, _)| local.port() == 0);
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(DeviceError::Io { source, .. })
                if chosen && source.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    attempt()
}

fn bind(id: u32, local: SocketAddr, options: &SocketOptions) -> Result<Socket, DeviceError> {
    let failed = |source| DeviceError::Io { doing: format!("binding UDP {local}"), source };
    let open = |local, reuse_port| -> io::Result<Udp> {
        let SocketOptions { mark, fragment, .. } = *options;
        let udp =
            Udp::bind(local, UdpOptions { mark, fragment, reuse_port, ..Default::default() })?;
        if let Some(interface) = &options.interface {
            udp.tie_to_device(interface)?;
        }
        Ok(udp)
    };
    // Alone at first, also where there will be several: another device must not share the port by mistake.
    let first = open(local, false).map_err(failed)?;
    let local = first.local_address().map_err(failed)?;
    let shared = if options.shards < 2 {
        vec![first]
    } else {
        drop(first);
        let all: io::Result<Vec<Udp>> = (0..options.shards).map(|_| open(local, true)).collect();
        let all = all.map_err(failed)?;
        all[0].steer_by_session(options.shards as u32).map_err(failed)?;
        all
    };
    Ok(Socket { info: SocketInfo { id, local }, shared: shared.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [&str; 2] = ["127.0.0.1:0", "127.0.0.2:0"];

    fn ports(sockets: &[Socket]) -> Vec<u16> {
        sockets.iter().map(|socket| socket.info.local.port()).collect()
    }

    #[test]
    fn sockets_of_one_port_have_one_and_get_another_together() {
        let listen = BOTH.map(|text| text.parse().unwrap());
        let options = SocketOptions { one_port: true, ..SocketOptions::default() };
        let old = bind_all(&listen, &options).unwrap();
        assert_eq!(ports(&old)[0], ports(&old)[1]);
        let new = rebind(&old, 0, &options).unwrap();
        assert_eq!(ports(&new)[0], ports(&new)[1]);
        assert_ne!(ports(&new), ports(&old));
        let same = rebind(&new, ports(&new)[0], &options).unwrap();
        assert!(same.iter().zip(&new).all(|(a, b)| a.is(b)));
        let taken = rebind(&new, ports(&old)[0], &options).err();
        assert!(
            matches!(taken, Some(DeviceError::Io { source, .. }) if source.kind() == io::ErrorKind::AddrInUse)
        );
    }

    /// What leaves by a link that takes less than 1,400 bytes, and whether it came whole.
    fn goes_through(options: &SocketOptions) -> [bool; 2] {
        use crate::io::{Destination, LinkConfig, Netlink, SLOT, SLOTS};
        let mut netlink = Netlink::open().unwrap();
        let link = netlink.index("lo").unwrap();
        let config = LinkConfig { mtu: 1400, queue_length: 1000, gso_segments: 45 };
        netlink.configure(link, &config).unwrap();
        netlink.up(link).unwrap();
        let listen = BOTH.map(|text| text.parse().unwrap());
        let sockets = bind_all(&listen, options).unwrap();
        let [here, there] = &sockets[..] else { panic!("two sockets") };
        let to = Destination::new(there.info.local);
        // one datagram, and a batch of two
        [1, 2].map(|count| {
            let bytes: Vec<u8> = (0..count * 3_000).map(|at| (at / 7) as u8).collect();
            if here.of(0).send(&bytes, 3_000, &to).is_err() {
                return false;
            }
            let mut arena = vec![0; SLOTS * SLOT];
            let mut received = [Default::default(); SLOTS];
            // on the loopback interface it is there when `send` returns
            let slots = there.of(0).receive(&mut arena, &mut received).unwrap();
            let got = received[..slots].iter().zip(arena.chunks(SLOT));
            assert_eq!(
                got.flat_map(|(one, slot)| &slot[..one.length]).copied().collect::<Vec<u8>>(),
                bytes
            );
            true
        })
    }

    #[test]
    fn datagrams_too_long_for_the_way_are_cut_where_that_is_asked_for_and_refused_elsewhere() {
        const NAME: &str = "device::sockets::tests::datagrams_too_long_for_the_way_are_cut_where_that_is_asked_for_and_refused_elsewhere";
        crate::io::namespace::in_empty_network(NAME, || {
            let cut = SocketOptions { fragment: true, ..SocketOptions::default() };
            assert_eq!(goes_through(&cut), [true, true]);
            assert_eq!(goes_through(&SocketOptions::default()), [false, false]);
        });
    }

    #[test]
    fn two_sockets_of_one_address_keep_their_own_ports() {
        let listen = ["127.0.0.1:0"; 2].map(|text| text.parse().unwrap());
        let old = bind_all(&listen, &SocketOptions::default()).unwrap();
        assert_ne!(ports(&old)[0], ports(&old)[1]);
        let refused = rebind(&old, 0, &SocketOptions::default()).err();
        assert!(matches!(refused, Some(DeviceError::Invalid(_))));
    }
}
