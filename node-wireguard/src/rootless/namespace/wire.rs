//! What the process and its helper say to each other, one message a packet of a unix SOCK_SEQPACKET socket.
//!
//! The helper speaks first: READY with the TUN's descriptor, or FAILED with a sentence. Then each request (kind, family)
//! is answered by READY with a socket's descriptor, or by REFUSED with the error number.

use crate::io::socket::Kind;
use std::ffi::OsString;
use std::net::IpAddr;

pub const READY: u8 = 0;
pub const FAILED: u8 = 1;
pub const REFUSED: u8 = 2;
/// Longer than any message.
pub const LONGEST: usize = 1024;

/// Asks for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    pub v6: bool,
}

impl Request {
    pub fn encode(self) -> [u8; 2] {
        let kind = match self.kind {
            Kind::Tcp => b't',
            Kind::Udp => b'u',
            Kind::Icmp => b'i',
        };
        [kind, if self.v6 { 6 } else { 4 }]
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [kind, family] = *bytes else { return None };
        let kind = match kind {
            b't' => Kind::Tcp,
            b'u' => Kind::Udp,
            b'i' => Kind::Icmp,
            _ => return None,
        };
        matches!(family, 4 | 6).then_some(Self { kind, v6: family == 6 })
    }
}

/// What the helper is to set up, as its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub name: String,
    pub mtu: u16,
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Setup {
    pub fn arguments(&self) -> Vec<OsString> {
        let addresses =
            self.addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
        [self.name.clone(), self.mtu.to_string()]
            .into_iter()
            .chain(addresses)
            .map(OsString::from)
            .collect()
    }

    /// Nothing if the arguments are not what [`Setup::arguments`] makes.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (name, mtu) = (arguments.next()?, arguments.next()?.parse().ok()?);
        let address = |text: String| {
            let (address, prefix) = text.split_once('/')?;
            Some((address.parse().ok()?, prefix.parse().ok()?))
        };
        let addresses = arguments.map(address).collect::<Option<Vec<_>>>()?;
        Some(Self { name, mtu, addresses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_setup_survives_the_command_line() {
        let addresses = vec![("fd00::1".parse().unwrap(), 48), ("100.88.0.1".parse().unwrap(), 16)];
        let setup = Setup { name: "rope0".to_string(), mtu: 1408, addresses };
        let arguments =
            setup.arguments().into_iter().map(|argument| argument.into_string().unwrap());
        assert_eq!(Setup::parse(arguments), Some(setup));
        let broken = ["rope0", "1408", "fd00::1"].map(String::from);
        assert_eq!(Setup::parse(broken.into_iter()), None);
    }

    proptest! {
        #[test]
        fn only_what_was_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..4)) {
            if let Some(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode().to_vec(), bytes);
            }
        }
    }
}
