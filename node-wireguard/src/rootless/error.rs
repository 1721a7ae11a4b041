//! What can go wrong on the way to another member without root.

use std::fmt;
use std::io;

/// Every failure of the rootless mode. Each maps to one stable code of the face.
#[derive(Debug)]
pub enum RootlessError {
    /// The other end answered that nobody listens there (TCP reset, or port unreachable).
    Refused,
    /// No answer within the caller's time.
    TimedOut,
    /// A router or the far host said that the address cannot be reached.
    Unreachable,
    /// This side has no address of that family, or the address asked for is not ours.
    NoAddress,
    /// Another listener has that address and port.
    AddressInUse,
    /// The datagram does not fit the MTU (the netstack cuts nothing into fragments).
    TooBig,
    /// Too many streams, listeners or requests at once.
    Busy,
    /// The backend is closed, or has ended by itself.
    Closed,
    /// This machine does not allow a private namespace; the reason names the step that failed.
    Forbidden(String),
    /// The kernel refused something else.
    Io(io::Error),
}

impl fmt::Display for RootlessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unreachable => f.write_str("address unreachable"),
            Self::NoAddress => f.write_str("no such address on this side"),
            Self::AddressInUse => f.write_str("address already in use"),
            Self::TooBig => f.write_str("datagram larger than the MTU"),
            Self::Busy => f.write_str("too many at once"),
            Self::Closed => f.write_str("the rootless backend is closed"),
            Self::Forbidden(step) => write!(f, "no private namespace here: {step}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RootlessError {}

impl From<io::Error> for RootlessError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Self::Unreachable,
            io::ErrorKind::AddrInUse => Self::AddressInUse,
            io::ErrorKind::AddrNotAvailable => Self::NoAddress,
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ if error.raw_os_error() == Some(libc::EMSGSIZE) => Self::TooBig,
            _ => Self::Io(error),
        }
    }
}
