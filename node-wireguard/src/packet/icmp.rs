//! ICMP errors that this end writes to its own system about a packet it cannot send (RFC 792, 1191, 4443).

/// The longest message made here, in bytes.
pub const LONGEST: usize = 1280;

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No peer has this address.
    NoRoute,
    /// There is a peer, but no way to it.
    Host,
    /// Nobody listens there.
    Port,
    /// A filter forbids it.
    Prohibited,
}

/// "Packet too big, at most `mtu` bytes" about `offending`, written into `out`; its length. It comes from the packet's
/// destination. Nothing where no error may be sent: about errors, later fragments, multicast, or from no address.
pub fn packet_too_big(offending: &[u8], mtu: u16, out: &mut [u8; LONGEST]) -> Option<usize> {
    let _ = (offending, mtu, out);
    None
}

/// "Destination unreachable" about `offending`, by the same rules.
pub fn unreachable(offending: &[u8], why: Unreachable, out: &mut [u8; LONGEST]) -> Option<usize> {
    let _ = (offending, why, out);
    None
}
