//! Where an incoming packet goes: to its flow, to a handshake, to an endpoint, or back with an answer.

use super::flow::Phase;
use super::handshakes::Offer;
use super::headers::checksum_is_right;
use super::key::{FlowKey, TCP, UDP};
use super::segment::{ACK, SYN, Segment};
use super::stack::Stack;
use crate::io::offload::{NEEDS_CSUM, VNET, Vnet};
use crate::packet::{Fragment, PacketView};
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Stack {
    /// Takes one frame.
    pub(super) fn receive(&mut self, frame: &mut [u8]) {
        let Some(vnet) = Vnet::parse(frame) else { return };
        let bytes = &mut frame[VNET..];
        let Some(packet) = PacketView::parse(bytes) else { return };
        if !self.shared.frames.is_own(packet.destination) || packet.fragment != Fragment::Whole {
            return;
        }
        let unfinished = vnet.flags & NEEDS_CSUM != 0; // it never left a machine, or the engine has joined it
        if !unfinished && !checksum_is_right(bytes, packet.l4, packet.length, packet.protocol) {
            return;
        }
        match packet.protocol {
            TCP => self.receive_tcp(&packet, &mut bytes[..packet.length]),
            UDP => self.receive_udp(&packet, &bytes[..packet.length]),
            _ => self.receive_icmp(&packet, &bytes[packet.l4..packet.length]),
        }
    }

    fn receive_tcp(&mut self, packet: &PacketView, bytes: &mut [u8]) {
        let (Some(key), Some(segment)) = (FlowKey::of(packet), Segment::parse(packet, bytes))
        else {
            return;
        };
        let now = self.now();
        if let Some((id, flow)) = self.flows.by_key(&key) {
            let tcp = &mut self.tcp;
            if let Err(panic) =
                catch_unwind(AssertUnwindSafe(|| flow.receive(bytes, segment, tcp, now)))
            {
                self.broken(id, key, &panic);
            }
            return;
        }
        if self.resting.holds(&key) {
            match self.resting.answer(&key, &segment) {
                Some(frame) => return self.shared.frames.send(frame, key.remote.ip()),
                None if !segment.has(SYN) => return,
                None => {}
            }
        }
        if segment.has(SYN) && !segment.has(ACK) {
            if !self.listeners.accepts(&key.local) {
                return self.answers.reset(&key, &segment, now);
            }
            let offer = Offer { buffer: self.buffer(), now };
            return self.handshakes.begin(key, bytes, segment, offer, &mut self.tcp);
        }
        match self.handshakes.end(&key, &segment, &mut self.tcp) {
            Ok(Some(mut flow)) => {
                flow.receive(bytes, segment, &mut self.tcp, now);
                if self.flows.add(flow).is_none() {
                    self.answers.reset(&key, &segment, now);
                }
            }
            Ok(None) => {}
            Err(()) => self.answers.reset(&key, &segment, now),
        }
    }

    fn receive_udp(&mut self, packet: &PacketView, bytes: &[u8]) {
        let Some(key) = FlowKey::of(packet) else { return };
        let length = bytes
            .get(packet.l4 + 4..packet.l4 + 6)
            .map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        let Some(payload) = length.and_then(|length| bytes.get(packet.l4 + 8..packet.l4 + length))
        else {
            return;
        };
        if !self.shared.endpoints.deliver(&key, payload) {
            let now = self.now();
            self.answers.port_unreachable(bytes, packet.source, now);
        }
    }

    fn receive_icmp(&mut self, packet: &PacketView, message: &[u8]) {
        self.shared.echo.receive(packet, message);
        let Some((head, quoted)) = message.split_first_chunk::<8>() else { return };
        let Some(inner) = PacketView::parse_quoted(quoted) else { return };
        if !self.shared.frames.is_own(inner.source) {
            return;
        }
        let v4 = packet.source.is_ipv4();
        let too_big = match (v4, head[0], head[1]) {
            (true, 3, 4) => Some(u32::from(u16::from_be_bytes([head[6], head[7]]))),
            (false, 2, 0) => Some(u32::from_be_bytes([head[4], head[5], head[6], head[7]])),
            (true, 3, _) | (false, 1, _) => None,
            _ => return,
        };
        self.shared
            .echo
            .pings
            .unreachable(inner.destination, quoted.get(inner.l4..).unwrap_or(&[]));
        let sequence = quoted.get(inner.l4 + 4..inner.l4 + 8);
        let sequence = sequence.map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let (Some(key), Some(sequence), TCP) = (FlowKey::of_own(&inner), sequence, inner.protocol)
        else {
            return;
        };
        let Some((_, flow)) = self.flows.by_key(&key) else { return };
        match too_big {
            Some(mtu) => flow.too_big(sequence, mtu.min(u16::MAX.into()) as u16),
            None => flow.unreachable = flow.phase == Phase::Dialing,
        }
    }
}
