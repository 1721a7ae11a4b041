//! The helper process, seen from its parent.

use super::wire::{FAILED, LONGEST, READY, Request, Setup};
use crate::io::fd::{recv_fd, seqpacket_pair};
use crate::io::socket::{Kind, wait_readable};
use crate::rootless::RootlessError;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Helper {
    child: Mutex<Child>,
    pid: u32,
    control: OwnedFd,
    /// One request at a time: each is answered at once.
    turn: Mutex<()>,
}

impl Helper {
    /// Starts it. Call on a thread that outlives the helper: the kernel ends it with that thread.
    ///
    /// # Errors
    /// `Forbidden` with the step that this machine refuses.
    pub fn start(program: &Path, setup: &Setup) -> Result<(Self, OwnedFd), RootlessError> {
        let (ours, theirs) = seqpacket_pair()?;
        let child = Command::new(program)
            .args(setup.arguments())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .process_group(0) // Ctrl-C is for the parent, which ends in its own order
            .spawn()
            .map_err(|error| RootlessError::Forbidden(format!("{}: {error}", program.display())))?;
        let pid = child.id();
        let helper = Self { child: Mutex::new(child), pid, control: ours, turn: Mutex::new(()) };
        let mut message = [0; LONGEST];
        match helper.answer(&mut message, START_TIMEOUT) {
            Ok((READY, _, Some(tun))) => Ok((helper, tun)),
            Ok((FAILED, sentence, _)) => {
                Err(RootlessError::Forbidden(String::from_utf8_lossy(sentence).into_owned()))
            }
            Ok(_) => Err(RootlessError::Forbidden("the helper speaks another version".to_string())),
            Err(error) => {
                Err(RootlessError::Forbidden(format!("the helper does not answer: {error}")))
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A new socket of the namespace, not blocking.
    pub fn socket(&self, kind: Kind, v6: bool) -> Result<OwnedFd, RootlessError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut message = [0; LONGEST];
        let mut control = File::from(self.control.try_clone()?);
        control.write_all(&Request { kind, v6 }.encode()).map_err(|_| RootlessError::Closed)?;
        match self.answer(&mut message, REQUEST_TIMEOUT) {
            Ok((READY, _, Some(fd))) => Ok(fd),
            Ok((_, [a, b, c, d], _)) => {
                Err(io::Error::from_raw_os_error(i32::from_le_bytes([*a, *b, *c, *d])).into())
            }
            Ok(_) | Err(_) => Err(RootlessError::Closed),
        }
    }

    fn answer<'a>(
        &self,
        message: &'a mut [u8; LONGEST],
        timeout: Duration,
    ) -> io::Result<(u8, &'a [u8], Option<OwnedFd>)> {
        if !wait_readable(&self.control, Some(timeout))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (length, fd) = recv_fd(&self.control, message)?;
        match message[..length].split_first() {
            Some((&kind, rest)) => Ok((kind, rest, fd)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl AsFd for Helper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Drop for Helper {
    /// It holds nothing that needs an orderly end: the namespaces go with their last process and descriptor.
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill(); // fails when it has ended by itself
        let _ = child.wait();
    }
}
