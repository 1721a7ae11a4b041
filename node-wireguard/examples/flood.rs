//! Sends rubbish to a WireGuard port at a steady rate, for the bench `flood`; or takes it and never looks.
//!
//!     flood sink ADDRESS:PORT
//!     flood noise|stray|forged|wrong|right ADDRESS:PORT RATE KNOWN FROM...
//!
//! noise: random bytes; stray: data for no session; forged: data for one that there is, as long as a full packet; wrong:
//! initiations whose first MAC is not right; right: initiations with a right one and nothing else, so that they cost the
//! most that a stranger can ask for. RATE: messages a second. KNOWN, hex: the session's index as it is on the wire for
//! `forged`, else the target's public key. FROM: local addresses, taken in turn; what leaves at once comes from one.

use node_wireguard::crypto::{hash, mac, random};
use node_wireguard::io::{BATCH_BYTES, BATCH_MESSAGES, Destination, Udp, UdpOptions};
use std::error::Error;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

const INITIATION: usize = 148;
const MAC1: usize = 116;
/// A data message with an inner packet of 1,408 bytes.
const FULL: usize = 1_440;
const TICK: Duration = Duration::from_millis(1);
/// Different ones, made before: what making them costs is not to be measured.
const BATCHES: usize = 8;

/// Messages side by side that leave in one call.
struct Rubbish {
    batches: Vec<Vec<u8>>,
    stride: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.as_slice() {
        [word, address] if word == "sink" => sink(address),
        [kind, target, rate, known, from @ ..] if !from.is_empty() => {
            let bind = |from: &String| {
                let from: IpAddr = from.parse()?;
                Ok(Udp::bind((from, 0).into(), UdpOptions::default())?)
            };
            let sockets = from.iter().map(bind).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            let to = Destination::new(target.parse()?);
            flood(&sockets, &to, rate.parse()?, &rubbish(kind, &bytes_of(known)?)?)
        }
        _ => Err("see the top of this file".into()),
    }
}

fn sink(address: &str) -> Result<(), Box<dyn Error>> {
    let _socket = UdpSocket::bind(address)?;
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let byte = |at| u8::from_str_radix(hex.get(at..at + 2).unwrap_or("-"), 16);
    Ok((0..hex.len()).step_by(2).map(byte).collect::<Result<_, _>>()?)
}

fn rubbish(kind: &str, known: &[u8]) -> Result<Rubbish, Box<dyn Error>> {
    let mac1_key = hash(&[b"mac1----", known]); // WireGuard paper, 5.4.4
    let stride = if kind == "forged" { FULL } else { INITIATION };
    let make = |number: usize| -> Result<Vec<u8>, Box<dyn Error>> {
        let noise = random::<FULL>().map_err(|_| "no random numbers")?;
        let mut message = noise[..stride].to_vec();
        let kind_word =
            |message: &mut [u8], word: u8| message[..4].copy_from_slice(&[word, 0, 0, 0]);
        match kind {
            "noise" => {}
            "stray" => kind_word(&mut message, 4),
            "forged" => {
                kind_word(&mut message, 4);
                message[4..8].copy_from_slice(known.get(..4).ok_or("no index")?);
                // far ahead of what the session has counted, so that none looks like a copy
                message[8..16].copy_from_slice(&((1 << 40) + number as u64).to_le_bytes());
            }
            "wrong" | "right" => {
                kind_word(&mut message, 1);
                message[MAC1 + 16..].fill(0);
                if kind == "right" {
                    let sum = mac(&mac1_key, &[&message[..MAC1]]);
                    message[MAC1..MAC1 + 16].copy_from_slice(&sum);
                }
            }
            _ => return Err("an unknown kind of rubbish".into()),
        }
        Ok(message)
    };
    let each = (BATCH_BYTES / stride).min(BATCH_MESSAGES);
    let batch = |batch: usize| (0..each).map(|nth| make(batch * each + nth)).collect();
    let batches = (0..BATCHES).map(batch).collect::<Result<Vec<Vec<_>>, _>>()?;
    Ok(Rubbish { batches: batches.into_iter().map(|batch| batch.concat()).collect(), stride })
}

/// Says every second how many have left so far.
fn flood(
    sockets: &[Udp],
    to: &Destination,
    rate: u64,
    rubbish: &Rubbish,
) -> Result<(), Box<dyn Error>> {
    let (start, mut sent, mut left) = (Instant::now(), 0u64, 0u64);
    let (mut told, mut turn) = (0, 0);
    loop {
        let due = start.elapsed().as_micros() as u64 * rate / 1_000_000;
        // What it could not send in time it does not make up for: the rate is a ceiling.
        sent = sent.max(due.saturating_sub(rate / 20));
        while sent < due {
            let batch = &rubbish.batches[turn % BATCHES];
            let messages = (batch.len() / rubbish.stride) as u64;
            // A full queue or a port that is closed: as if it were lost on the way.
            let gone = sockets[turn % sockets.len()].send(batch, rubbish.stride, to).is_ok();
            left += if gone { messages } else { 0 };
            sent += messages;
            turn += 1;
        }
        let second = start.elapsed().as_secs();
        if second > told {
            println!("sent {left}");
            told = second;
        }
        std::thread::sleep(TICK);
    }
}
