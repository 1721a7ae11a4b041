//! Values that cross the border both ways. Numbers come as JavaScript has them and are checked here.

use super::failure::Failure;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

#[napi(object)]
pub struct NativeEndpoint {
    pub address: String,
    pub port: f64,
}

impl NativeEndpoint {
    pub fn parse(&self, what: impl Display) -> Result<SocketAddr, Failure> {
        let ip = address(&self.address, &what)?;
        Ok(SocketAddr::new(ip, whole(self.port, 0..=u16::MAX, format_args!("{what}: port"))?))
    }
}

impl From<SocketAddr> for NativeEndpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address: address.ip().to_string(), port: address.port().into() }
    }
}

pub fn address(text: &str, what: impl Display) -> Result<IpAddr, Failure> {
    text.parse().map_err(|_| Failure::invalid(format!("{what}: {text:?} is no IP address")))
}

/// `fd00::1/64`, or an address alone.
pub fn prefix(text: &str, what: impl Display) -> Result<(IpAddr, u8), Failure> {
    let (ip, length) = text.split_once('/').unwrap_or((text, ""));
    let ip = address(ip, &what)?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let length = if length.is_empty() && !text.contains('/') { Ok(most) } else { length.parse() };
    match length {
        Ok(length) if length <= most => Ok((ip, length)),
        _ => Err(Failure::invalid(format!("{what}: {text:?} has no sound prefix length"))),
    }
}

pub fn prefixes(texts: &[String], what: &str) -> Result<Vec<(IpAddr, u8)>, Failure> {
    texts.iter().map(|text| prefix(text, what)).collect()
}

pub fn prefix_text((ip, length): &(IpAddr, u8)) -> String {
    format!("{ip}/{length}")
}

/// 32 bytes: a key or a secret.
pub fn key(bytes: &Uint8Array, what: impl Display) -> Result<[u8; 32], Failure> {
    let length = bytes.len();
    bytes
        .as_ref()
        .try_into()
        .map_err(|_| Failure::invalid(format!("{what} has {length} bytes, not 32")))
}

/// A whole number within a range.
pub fn whole<T>(value: f64, range: RangeInclusive<T>, what: impl Display) -> Result<T, Failure>
where
    T: Copy + PartialOrd + TryFrom<u64> + Display,
{
    let number =
        (value.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER).contains(&value)).then_some(value as u64);
    number
        .and_then(|number| T::try_from(number).ok())
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            Failure::invalid(format!(
                "{what}: {value} is no whole number from {} to {}",
                range.start(),
                range.end()
            ))
        })
}

const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_whole_or_single() {
        assert_eq!(prefix("fd00::1/64", "x").unwrap(), ("fd00::1".parse().unwrap(), 64));
        assert_eq!(prefix("10.0.0.1", "x").unwrap(), ("10.0.0.1".parse().unwrap(), 32));
        for bad in
            ["10.0.0.1/", "10.0.0.1/33", "::/129", "host/8", "::1/-1", "", "/8", "1.2.3.4/8/9"]
        {
            assert!(prefix(bad, "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        assert_eq!(whole(65_535.0, 0..=u16::MAX, "x").unwrap(), 65_535);
        for bad in [-1.0, 0.5, 65_536.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(whole(bad, 0..=u16::MAX, "x").is_err(), "{bad}");
        }
        assert!(whole(MAX_SAFE_INTEGER, 0..=u64::MAX, "x").is_ok());
        assert!(whole(1.0, 2..=u8::MAX, "x").is_err());
    }
}
