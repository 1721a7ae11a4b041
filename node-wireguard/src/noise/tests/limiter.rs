use std::net::{IpAddr, SocketAddr};

use crate::noise::{RateLimiter, Source};

fn direct(address: &str) -> Source {
    Source::Direct(SocketAddr::new(address.parse::<IpAddr>().unwrap(), 1))
}

/// Fails at the first difference from the expected number of tokens.
fn takes(limiter: &mut RateLimiter, source: Source, now: u64) -> usize {
    (0..100).take_while(|_| limiter.allow(source, now)).count()
}

/// The kernel's cases (`selftest/ratelimiter.c`), in fewer words.
#[test]
fn five_at_once_and_twenty_a_second() {
    let mut limiter = RateLimiter::default();
    let source = direct("192.0.2.1");
    assert_eq!(takes(&mut limiter, source, 1_000), 5);
    assert_eq!(takes(&mut limiter, source, 1_049), 0);
    assert_eq!(takes(&mut limiter, source, 1_100), 2);
    assert_eq!(takes(&mut limiter, source, 1_150), 1);
    assert_eq!(takes(&mut limiter, source, 1_700), 5);
    let in_a_second = (1_701..=2_700).filter(|now| limiter.allow(source, *now)).count();
    assert_eq!(in_a_second, 20);
}

#[test]
fn an_ipv6_network_counts_as_one_source_and_other_sources_do_not_suffer() {
    let mut limiter = RateLimiter::default();
    assert_eq!(takes(&mut limiter, direct("2001:db8:1:2::1"), 0), 5);
    assert_eq!(takes(&mut limiter, direct("2001:db8:1:2:ffff::2"), 0), 0);
    assert_eq!(takes(&mut limiter, direct("2001:db8:1:3::1"), 0), 5);
    assert_eq!(takes(&mut limiter, direct("192.0.2.1"), 0), 5);
    assert_eq!(takes(&mut limiter, direct("::ffff:192.0.2.1"), 0), 0);
    let forwarder = SocketAddr::from(([192, 0, 2, 1], 3_478));
    assert_eq!(takes(&mut limiter, Source::Forwarded(forwarder, 1), 0), 5);
    assert_eq!(takes(&mut limiter, Source::Forwarded(forwarder, 2), 0), 5);
}

#[test]
fn a_flood_of_sources_fills_the_table_and_no_more_memory() {
    let mut limiter = RateLimiter::default();
    let source = |number: u32| Source::Direct(SocketAddr::from((number.to_be_bytes(), 1)));
    let allowed = (0..70_000).filter(|number| limiter.allow(source(*number), 5_000)).count();
    assert_eq!(allowed, 65_536);
    assert!(limiter.allow(source(70_001), 6_500), "silent ones are forgotten");
}
