use crate::device::DeviceError;
use crate::forwarder::ForwarderError;
use crate::rootless::RootlessError;
use crate::splice::SpliceError;
use std::fmt::Display;
use std::io;

/// A stable code and a sentence. It crosses the border as `CODE\nsentence`, and `errors.ts` takes it apart again.
#[derive(Debug)]
pub struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(code: &'static str, message: impl Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// An option or argument that cannot be: the sentence says which and why.
    pub fn invalid(message: impl Display) -> Self {
        Self::new("INVALID_ARGUMENT", message)
    }

    pub fn failed(message: impl Display) -> Self {
        Self::new("FAILED", message)
    }

    pub fn closed(message: impl Display) -> Self {
        Self::new("CLOSED", message)
    }

    pub fn busy(message: impl Display) -> Self {
        Self::new("BUSY", message)
    }

    pub fn not_rootless() -> Self {
        Self::new(
            "NOT_ROOTLESS",
            "this device has a kernel interface, and no network stack of its own",
        )
    }

    pub fn io(message: impl Display, source: &io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::PermissionDenied => "PERMISSION",
            io::ErrorKind::AddrInUse => "ADDRESS_IN_USE",
            io::ErrorKind::AddrNotAvailable => "NO_ADDRESS",
            _ => "IO",
        };
        Self::new(code, message)
    }
}

impl From<Failure> for napi::Error {
    fn from(Failure { code, message }: Failure) -> Self {
        Self::from_reason(format!("ERR_WIREGUARD_{code}\n{message}"))
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match &error {
            DeviceError::Closed => Self::new("CLOSED", error),
            DeviceError::Failed(_) => Self::failed(error),
            DeviceError::Invalid(_) => Self::invalid(error),
            DeviceError::Io { source, .. } => Self::io(&error, source),
            DeviceError::Unsupported(_) => Self::new("UNSUPPORTED", error),
            DeviceError::UnknownPeer => Self::new("UNKNOWN_PEER", error),
            DeviceError::TooMany { .. } => Self::new("TOO_MANY", error),
        }
    }
}

impl From<RootlessError> for Failure {
    fn from(error: RootlessError) -> Self {
        let code = match &error {
            RootlessError::Refused => "REFUSED",
            RootlessError::TimedOut => "TIMED_OUT",
            RootlessError::Unreachable => "UNREACHABLE",
            RootlessError::NoAddress => "NO_ADDRESS",
            RootlessError::AddressInUse => "ADDRESS_IN_USE",
            RootlessError::TooBig => "TOO_BIG",
            RootlessError::Busy => "BUSY",
            RootlessError::Closed => "CLOSED",
            RootlessError::Forbidden(_) => "NAMESPACE_FORBIDDEN",
            RootlessError::Io(source) => return Self::io(&error, source),
        };
        Self::new(code, error)
    }
}

impl From<ForwarderError> for Failure {
    fn from(error: ForwarderError) -> Self {
        match &error {
            ForwarderError::Closed => Self::new("CLOSED", error),
            ForwarderError::Failed(_) => Self::failed(error),
            ForwarderError::Io { source, .. } => Self::io(&error, source),
            ForwarderError::SlotTaken(_) => Self::new("SLOT_TAKEN", error),
            ForwarderError::Lifetime(_) | ForwarderError::NoAddress => Self::invalid(error),
            ForwarderError::TooMany => Self::new("TOO_MANY", error),
        }
    }
}

impl From<SpliceError> for Failure {
    fn from(error: SpliceError) -> Self {
        match &error {
            SpliceError::Closed => Self::new("CLOSED", error),
            SpliceError::Io(source) => Self::io(&error, source),
        }
    }
}
