use std::fmt;
use std::io;

/// Why a call to the device failed.
#[derive(Debug)]
pub enum DeviceError {
    /// The device was closed.
    Closed,
    /// A thread of it panicked; the message was told by `Event::Panic`.
    Failed(String),
    /// An argument cannot be: the text says which and why.
    Invalid(String),
    /// The kernel refused: what was tried, and its answer.
    Io { doing: String, source: io::Error },
    /// This machine or this kind of device cannot do it: the text says what can.
    Unsupported(String),
    /// No peer has this key.
    UnknownPeer,
    /// More than the tables hold.
    TooMany { what: &'static str, limit: usize },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the device is closed"),
            Self::Failed(message) => write!(f, "the device has failed: {message}"),
            Self::Invalid(what) | Self::Unsupported(what) => f.write_str(what),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::UnknownPeer => f.write_str("no such peer"),
            Self::TooMany { what, limit } => write!(f, "more than {limit} {what}"),
        }
    }
}

impl std::error::Error for DeviceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
