//! Bytes between smoltcp's socket and the program's end, without a copy in between.

use super::Flow;
use smoltcp::socket::tcp::{RecvError, Socket, State};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

/// Bytes moved to or from the program in one turn.
const TURN_BYTES: usize = 1 << 20;

impl Flow {
    /// Moves what can be moved; says whether there may be more at once.
    pub(super) fn pump(&mut self) -> bool {
        let (Some(stream), set) = (&self.stream, &mut self.set) else { return false };
        let socket: &mut Socket = set.get_mut(self.handle);
        let (mut outward, mut inward) = (TURN_BYTES, TURN_BYTES);
        while self.readable && !self.ended && socket.can_send() && outward > 0 {
            match socket.send(|room| carry((&*stream).read(room))) {
                Ok(Ok(0)) => self.ended = true,
                Ok(Ok(count)) => outward = outward.saturating_sub(count),
                Ok(Err(ErrorKind::WouldBlock)) => self.readable = false,
                Ok(Err(ErrorKind::Interrupted)) => {}
                Ok(Err(_)) | Err(_) => {
                    (self.ended, self.aborted) = (true, true); // closed with bytes unread: TCP resets then
                    socket.abort();
                }
            }
        }
        // When the peer's FIN has come before ours, smoltcp waits in LAST-ACK. There it takes no acknowledgement that
        // acknowledges nothing new: neither a window that opens nor repetitions. So our FIN goes after all data then.
        if self.ended && (socket.state() != State::CloseWait || socket.send_queue() == 0) {
            socket.close();
        }
        while self.writable && socket.can_recv() && inward > 0 {
            match socket.recv(|bytes| carry((&*stream).write(bytes))) {
                Ok(Ok(count)) => inward = inward.saturating_sub(count),
                Ok(Err(ErrorKind::WouldBlock)) => self.writable = false,
                Ok(Err(ErrorKind::Interrupted)) => {}
                Ok(Err(_)) | Err(_) => {
                    (self.ended, self.aborted) = (true, true); // nobody will read it
                    socket.abort();
                    break;
                }
            }
        }
        let over = matches!(socket.recv(|_| (0, ())), Err(RecvError::Finished));
        if over && !self.told_end {
            self.told_end = true;
            let _ = stream.shutdown(Shutdown::Write); // fails only when the program is gone already
        }
        outward == 0 || inward == 0
    }
}

/// A result of the system as smoltcp's buffers want it: how much was moved, and what to tell.
fn carry(result: io::Result<usize>) -> (usize, Result<usize, ErrorKind>) {
    match result {
        Ok(count) => (count, Ok(count)),
        Err(error) => (0, Err(error.kind())),
    }
}
