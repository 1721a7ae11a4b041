use std::fmt;
use std::io;

/// Why a stream has come to another end than its own.
#[derive(Debug)]
pub enum Fault {
    /// An end was reset or has failed.
    Reset(io::Error),
    /// The TLS connection ended before the stream inside it had.
    CutShort,
    /// What came inside the TLS is no stream of segments.
    Malformed(&'static str),
    /// No agreement, no proof, or a record that is not the other's.
    Tls(rustls::Error),
    /// We broke it off.
    Cut,
    /// A fault of this engine.
    Failed(String),
}

impl Fault {
    /// A stable word for each.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reset(_) => "reset",
            Self::CutShort => "cut-short",
            Self::Malformed(_) => "malformed",
            Self::Tls(_) => "tls",
            Self::Cut => "cut",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(error) => write!(f, "the connection was reset: {error}"),
            Self::CutShort => write!(f, "the connection was cut short"),
            Self::Malformed(why) => write!(f, "{why}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Cut => write!(f, "broken off"),
            Self::Failed(message) => write!(f, "the engine failed: {message}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Reset(error)
    }
}

impl From<rustls::Error> for Fault {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

/// What becomes of the streams of a splicer.
#[derive(Debug)]
pub enum SpliceEvent {
    /// TLS has agreed; the other's certificate, DER, whose key it has proven. Nothing else in it is checked.
    Secured { stream: u64, certificate: Vec<u8> },
    /// What was asked for by `receive`.
    Received { stream: u64, bytes: Vec<u8> },
    /// Both connections are let go of. Without a fault both directions have come to their end.
    Closed { stream: u64, forth: u64, back: u64, fault: Option<Fault> },
}

/// What a stream does after its turn.
pub enum Turn {
    /// It waits for its connections.
    Waits,
    /// It could go on at once.
    Again,
    /// Both directions have ended, only the other side's last word is waited for, but not for ever.
    Lingers,
    /// Both directions have ended.
    Over,
}
