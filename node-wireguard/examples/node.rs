//! One device with a TUN, told by its command line: what the namespaced tests and the measurements run.
//!
//! node tun=NAME address=10.98.0.1/24 key=01… listen=10.99.0.1:51820 peer=PUBLIC_HEX allowed=10.98.0.2/32 remote=10.99.0.2:51820
//!      [more remote=… for more paths] [mtu=1408] [vanilla] [name=…]
//! node public key=01…    prints the public key
//!
//! Prints events on stderr and ends when stdin does. A line `status` on stdin prints the status, `counters` what is not zero.

use node_wireguard::device::{
    Device, DeviceOptions, FilterConfig, FilterProtocol, FilterRule, InterfaceOptions, PathConfig,
    PeerConfig,
};
use node_wireguard::noise::Local;
use std::error::Error;
use std::io::BufRead;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let all = |key: &str| {
        let key = format!("{key}=");
        words.iter().filter_map(|word| word.strip_prefix(&key)).collect::<Vec<_>>()
    };
    let one = |key: &str| all(key).first().copied().ok_or(format!("{key}= is missing"));
    let private_key = hex(one("key")?)?;
    if words.first().is_some_and(|word| word == "public") {
        println!("{}", words_of(Local::new(private_key).public().as_bytes()));
        return Ok(());
    }
    let vanilla = words.iter().any(|word| word == "vanilla");
    let name = one("tun")?.to_owned();
    let mtu = one("mtu").unwrap_or("1408").parse()?;
    let addresses = all("address").into_iter().map(network).collect::<Result<_, _>>()?;
    let listen =
        all("listen").into_iter().map(str::parse).collect::<Result<Vec<SocketAddr>, _>>()?;
    let interface = InterfaceOptions::Tun { name, mtu, addresses };
    let sink = Arc::new(|event| eprintln!("{event:?}"));
    let device = Device::open(
        DeviceOptions { private_key, listen, sockets: Default::default(), interface, shards: 1 },
        sink,
    )?;
    let everything = [FilterProtocol::Tcp, FilterProtocol::Udp, FilterProtocol::Icmp]
        .map(|protocol| FilterRule { protocol, ports: (0, 65_535), sources: vec![] });
    device.set_filter(FilterConfig { allow: everything.into(), open: false })?;
    let remotes =
        all("remote").into_iter().map(str::parse).collect::<Result<Vec<SocketAddr>, _>>()?;
    let public_key = hex(one("peer")?)?;
    device.update_peers(
        vec![PeerConfig {
            public_key,
            allowed_ips: all("allowed").into_iter().map(network).collect::<Result<_, _>>()?,
            preshared_key: None,
            keepalive_seconds: None,
            vanilla,
            endpoint: remotes.first().copied().filter(|_| vanilla),
        }],
        vec![],
    )?;
    if !vanilla {
        let path = |(id, remote): (u32, SocketAddr)| {
            let local = device.sockets().iter().position(|s| s.local.is_ipv6() == remote.is_ipv6());
            let local = local.unwrap_or(0).min(id as usize) as u32;
            PathConfig { id, local, remote, session: None, cost_class: 0 }
        };
        device.update_paths(public_key, (0..).zip(remotes).map(path).collect())?;
    }
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "status" => println!("{:#?}", device.status()?),
            "counters" => counters(&device),
            _ => {}
        }
    }
    device.close();
    Ok(())
}

fn counters(device: &Device) {
    let counters = device.counters();
    for (index, word) in counters.words().iter().enumerate() {
        let value = word.load(std::sync::atomic::Ordering::Relaxed);
        if value != 0 {
            println!("{index} {value}");
        }
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), Failure> {
    let (address, prefix) = text.split_once('/').ok_or("ADDRESS/PREFIX is wanted")?;
    Ok((address.parse()?, prefix.parse()?))
}

fn hex(text: &str) -> Result<[u8; 32], Failure> {
    let digits = |at: usize| text.get(2 * at..2 * at + 2).ok_or("a key has 64 hexadecimal digits");
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits(at)?, 16)?;
    }
    Ok(key)
}

fn words_of(key: &[u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
