use std::{fmt, io};

/// Why a call to the forwarder failed.
#[derive(Debug)]
pub enum ForwarderError {
    /// The forwarder was closed.
    Closed,
    /// Its thread panicked: the message.
    Failed(String),
    /// The kernel refused: what was tried, and its answer.
    Io { doing: String, source: io::Error },
    /// Two sessions cannot share a slot.
    SlotTaken(u32),
    /// A session must end in the future, within an hour: its id.
    Lifetime(String),
    /// The table of sessions is full.
    TooMany,
    /// No address to listen on was given.
    NoAddress,
}

impl fmt::Display for ForwarderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the forwarder is closed"),
            Self::Failed(message) => write!(f, "the forwarder has failed: {message}"),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::SlotTaken(slot) => write!(f, "slot {slot} belongs to another session"),
            Self::Lifetime(id) => write!(f, "session {id} must end within the next hour"),
            Self::TooMany => f.write_str("the table of sessions is full"),
            Self::NoAddress => f.write_str("a forwarder needs an address to listen on"),
        }
    }
}

impl std::error::Error for ForwarderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
