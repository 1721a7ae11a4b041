use std::io;

/// Why datagrams did not leave.
#[derive(Debug)]
pub enum SendError {
    /// EMSGSIZE or EINVAL: too long for the way out. The path MTU is to be probed again; offload is not to blame.
    TooBig,
    /// ENOBUFS or EAGAIN: a queue was full and the rest was dropped, as a wire would. Waiting would only move the queue.
    Dropped,
    /// Anything else: no route, network down, refused by a firewall.
    Failed(io::Error),
}

pub(super) fn is_too_big(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EINVAL))
}

impl From<io::Error> for SendError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            _ if is_too_big(&error) => Self::TooBig,
            Some(libc::ENOBUFS | libc::EAGAIN) => Self::Dropped,
            _ => Self::Failed(error),
        }
    }
}
