//! How a request ended, as the tools expect it: 0, or an error number of Linux with a minus.

use crate::device::DeviceError;
use std::fmt;

/// Zero is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(i32);

impl Errno {
    pub const OK: Self = Self(0);
    /// The words of the request make no sense.
    pub const INVALID: Self = Self(libc::EINVAL);
    pub const TOO_BIG: Self = Self(libc::E2BIG);
}

impl From<&DeviceError> for Errno {
    fn from(error: &DeviceError) -> Self {
        Self(match error {
            DeviceError::Closed | DeviceError::Failed(_) => libc::ENODEV,
            DeviceError::Invalid(_) => libc::EINVAL,
            DeviceError::Io { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
            DeviceError::UnknownPeer => libc::ENOENT,
            DeviceError::TooMany { .. } => libc::ENOBUFS,
            DeviceError::Unsupported(_) => libc::EOPNOTSUPP,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno={}", -self.0)
    }
}
