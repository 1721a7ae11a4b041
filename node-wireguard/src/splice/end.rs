use crate::io::Connection;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};

/// An empty buffer larger than this is given back.
const KEEP_BYTES: usize = 32 * 1024;

/// One connection of a stream, and what waits to be written into it.
pub struct End {
    connection: Connection,
    /// There may be something to read. Set by epoll's edges, cleared by `WouldBlock`.
    pub readable: bool,
    waiting: Vec<u8>,
    written: usize,
    /// The other side says no more.
    pub ended: bool,
    finished: bool,
}

impl End {
    /// `first` is written before anything else.
    pub fn new(connection: Connection, first: Vec<u8>) -> Self {
        let (readable, ended, finished) = (true, false, false);
        Self { connection, readable, waiting: first, written: 0, ended, finished }
    }

    /// Bytes read; nothing when there are none now, and then also when the end was read (`ended`).
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        while self.readable && !self.ended {
            match self.connection.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Writes behind what waits; what there is no room for waits.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.flush()? {
            bytes = &bytes[self.put(bytes)?..];
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what waits; true when nothing does any more.
    pub fn flush(&mut self) -> io::Result<bool> {
        if self.is_idle() {
            return Ok(true);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let put = self.put(&waiting[self.written..]);
        self.waiting = waiting;
        self.written += put?;
        if !self.is_idle() {
            return Ok(false);
        }
        self.waiting.clear();
        self.written = 0;
        if self.waiting.capacity() > KEEP_BYTES {
            self.waiting = Vec::new();
        }
        Ok(true)
    }

    /// Where more may be put behind what waits; `flush` writes it.
    pub fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Nothing waits to be written.
    pub fn is_idle(&self) -> bool {
        self.written == self.waiting.len()
    }

    /// Says the end once all is written; true when it is said.
    pub fn finish(&mut self) -> io::Result<bool> {
        if !self.flush()? {
            return Ok(false);
        }
        if !self.finished {
            self.finished = true;
            self.connection.finish()?;
        }
        Ok(true)
    }

    /// All that will come has come, and the end of what goes is said.
    pub fn is_over(&self) -> bool {
        self.ended && self.finished
    }

    /// Epoll says that it is closed or in error: the error, if there is one.
    pub fn check(&self) -> io::Result<()> {
        self.connection.take_error()
    }

    fn put(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut put = 0;
        while put < bytes.len() {
            match self.connection.write(&bytes[put..]) {
                Ok(count) => put += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(put)
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}
