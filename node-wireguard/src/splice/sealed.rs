use super::end::End;
use super::identity::Identity;
use super::outcome::{Fault, SpliceEvent, Turn};
use super::segment::{self, Segments};
use super::session::{Session, Side, Sink};
use super::splicer::Counts;
use super::worker::{Buffers, TURN_BYTES};
use crate::io::Connection;

/// What one read of the local end takes: eight full TLS records with the prefix.
const SEGMENT_BYTES: usize = 128 * 1024 - segment::PREFIX;

/// TLS holds back less than a record, or a handshake message in parts.
const MOST_HELD: usize = 96 * 1024;

/// A TLS connection, and the local one that it is joined to once the other side has proven itself.
pub struct Sealed {
    raw: End,
    session: Session,
    /// Ciphertext that is no whole record yet.
    held: Vec<u8>,
    phase: Phase,
}

enum Phase {
    /// TLS has not agreed yet.
    Handshake,
    /// Messages, one by one: what came and was not asked for yet, and whether it is.
    Talk {
        early: Vec<u8>,
        asked: bool,
    },
    Joined(Joined),
    /// All is said; the other's end is waited for, what still comes is nobody's.
    Parting,
}

/// The local end of a stream, and how far it is.
struct Joined {
    local: End,
    is_pair: bool,
    segments: Segments,
    /// The end segment is sent.
    said: bool,
}

/// What a stream is joined to.
pub struct Local {
    pub connection: Connection,
    /// One end of a pair whose other end is JavaScript's: it knows no reset.
    pub is_pair: bool,
    /// What was received of the stream before.
    pub head: Vec<u8>,
    /// What goes into the stream before the connection's bytes.
    pub first: Vec<u8>,
}

/// What the owner of a sealed stream asks of it.
pub enum Request {
    /// Sends bytes as they are.
    Send(Vec<u8>),
    /// Tells what comes next, once.
    Receive,
    Join(Local),
    /// Sends bytes and ends our direction.
    Part(Vec<u8>),
}

impl Sealed {
    /// `head` was read from the connection before.
    pub fn new(
        connection: Connection,
        head: Vec<u8>,
        side: Side,
        identity: &Identity,
    ) -> Result<Self, Fault> {
        let session = Session::new(side, identity)?;
        let raw = End::new(connection, Vec::new());
        Ok(Self { raw, session, held: head, phase: Phase::Handshake })
    }

    /// The local end, once it is joined to one, or the other side's.
    pub fn end(&mut self, local: bool) -> Option<&mut End> {
        match &mut self.phase {
            _ if !local => Some(&mut self.raw),
            Phase::Joined(joined) => Some(&mut joined.local),
            _ => None,
        }
    }

    /// The local end, if closing it would look like the stream's end.
    pub fn into_pair(self) -> Option<End> {
        match self.phase {
            Phase::Joined(Joined { local, is_pair: true, .. }) => Some(local),
            _ => None,
        }
    }

    /// Does as asked; what has no place in this phase is a fault of the owner.
    pub fn obey(&mut self, request: Request, buffers: &mut Buffers) -> Result<(), Fault> {
        let Phase::Talk { early, asked } = &mut self.phase else {
            return Err(Fault::Failed("asked for out of turn".into()));
        };
        match request {
            Request::Receive => *asked = true,
            Request::Send(bytes) => self.say(&bytes, buffers)?,
            Request::Part(bytes) => {
                self.say(&bytes, buffers)?;
                self.say_closed(buffers)?;
                self.phase = Phase::Parting;
            }
            Request::Join(Local { connection, is_pair, mut head, first }) => {
                head.append(early);
                let (mut segments, mut received) = (Segments::default(), Vec::new());
                segments.read(&head, &mut received).map_err(Fault::Malformed)?;
                let local = End::new(connection, received);
                self.phase = Phase::Joined(Joined { local, is_pair, segments, said: false });
                for part in first.chunks(SEGMENT_BYTES) {
                    let length = (part.len() as u32).to_be_bytes();
                    self.say(&[&length, part].concat(), buffers)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on as far as the connections let it. A fault still lets TLS say why.
    pub fn turn(
        &mut self,
        stream: u64,
        buffers: &mut Buffers,
        counts: &Counts,
        events: &mut Vec<SpliceEvent>,
    ) -> Result<Turn, Fault> {
        let turn = self.step(stream, buffers, counts, events);
        if turn.is_err() {
            // the alert, as far as there is room
            let _ = self.raw.flush();
        }
        turn
    }

    fn step(
        &mut self,
        stream: u64,
        buffers: &mut Buffers,
        counts: &Counts,
        events: &mut Vec<SpliceEvent>,
    ) -> Result<Turn, Fault> {
        let mut again = false;
        match &mut self.phase {
            Phase::Handshake => {
                let mut early = Vec::new();
                let came = self.hear(buffers, &mut |plain| early.extend_from_slice(plain))?;
                self.raw.flush()?;
                if self.session.secured {
                    let certificate =
                        self.session.certificate().ok_or(rustls::Error::NoCertificatesPresented)?;
                    events.push(SpliceEvent::Secured { stream, certificate });
                    self.phase = Phase::Talk { early, asked: false };
                } else if self.is_over() {
                    return Err(Fault::CutShort);
                }
                again = came || self.raw.ended;
            }
            Phase::Talk { early, asked } => {
                let mut bytes = std::mem::take(early);
                let asked = *asked;
                if asked && bytes.is_empty() {
                    again = self.hear(buffers, &mut |plain| bytes.extend_from_slice(plain))?;
                }
                self.raw.flush()?;
                if asked && bytes.is_empty() && self.is_over() {
                    return Err(Fault::CutShort);
                }
                again |= asked && self.raw.ended;
                let told = asked && !bytes.is_empty();
                if told {
                    events
                        .push(SpliceEvent::Received { stream, bytes: std::mem::take(&mut bytes) });
                    again = false;
                }
                self.phase = Phase::Talk { early: bytes, asked: asked && !told };
            }
            Phase::Joined(_) => return self.pass(buffers, counts),
            Phase::Parting => {
                if self.raw.ended {
                    return if self.raw.finish()? { Ok(Turn::Over) } else { Ok(Turn::Waits) };
                }
                self.raw.finish()?;
                again = self.raw.read(&mut buffers.read)?.is_some() || self.raw.ended;
            }
        }
        Ok(if again { Turn::Again } else { Turn::Waits })
    }

    /// Nothing will come any more.
    fn is_over(&self) -> bool {
        self.raw.ended || self.session.closed
    }

    /// The other side has ended its direction of the joined stream.
    fn is_heard(&self) -> bool {
        matches!(&self.phase, Phase::Joined(joined) if joined.segments.ended())
    }

    /// Both directions of a joined stream.
    fn pass(&mut self, buffers: &mut Buffers, counts: &Counts) -> Result<Turn, Fault> {
        let mut again = self.outward(buffers, counts)?;
        again |= self.inward(buffers, counts)?;
        self.raw.flush()?; // what TLS had to say to what came
        let Phase::Joined(Joined { local, segments, said, .. }) = &mut self.phase else {
            return Ok(Turn::Again);
        };
        // the local end was told the end, and the other side the end of ours
        let done = *said && segments.ended() && local.is_over() && self.raw.is_idle();
        Ok(match () {
            // closing before the other's end is read would answer its last bytes with a reset
            () if done && self.raw.is_over() => Turn::Over,
            () if again => Turn::Again,
            () if done => Turn::Lingers,
            () => Turn::Waits,
        })
    }

    /// From the local end into TLS; true when there may be more at once.
    fn outward(&mut self, buffers: &mut Buffers, counts: &Counts) -> Result<bool, Fault> {
        let Phase::Joined(Joined { local, said, .. }) = &mut self.phase else { return Ok(false) };
        if *said {
            self.raw.finish()?;
            return Ok(false);
        }
        if !self.raw.flush()? {
            return Ok(false);
        }
        if local.ended {
            *said = true;
            self.say(&segment::END, buffers)?;
            self.say_closed(buffers)?;
            self.raw.finish()?;
            return Ok(false);
        }
        let mut moved = 0;
        loop {
            let Phase::Joined(Joined { local, .. }) = &mut self.phase else { return Ok(false) };
            let room = segment::PREFIX..segment::PREFIX + SEGMENT_BYTES;
            let Some(got) = local.read(&mut buffers.read[room])? else { return Ok(local.ended) };
            counts.add_forth(got);
            buffers.read[..segment::PREFIX].copy_from_slice(&(got as u32).to_be_bytes());
            let Buffers { read, sealed, .. } = buffers;
            self.seal(&read[..segment::PREFIX + got], sealed)?;
            moved += got;
            if !self.raw.is_idle() {
                return Ok(false);
            }
            if moved >= TURN_BYTES {
                return Ok(true);
            }
        }
    }

    /// From TLS to the local end; true when there may be more at once.
    fn inward(&mut self, buffers: &mut Buffers, counts: &Counts) -> Result<bool, Fault> {
        let mut moved = 0;
        loop {
            let is_over = self.is_over();
            let Phase::Joined(Joined { local, segments, .. }) = &mut self.phase else {
                return Ok(false);
            };
            if !local.flush()? {
                return Ok(false);
            }
            if segments.ended() {
                local.finish()?;
            } else if is_over {
                return Err(Fault::CutShort);
            }
            let mut reader = std::mem::take(segments);
            let (mut stream, mut read) = (std::mem::take(&mut buffers.stream), Ok(()));
            stream.clear();
            let heard = self.hear(buffers, &mut |plain| {
                if read.is_ok() {
                    read = reader.read(plain, &mut stream);
                }
            });
            // what came before a fault was the other's
            let written = self.deliver(reader, &stream);
            let count = stream.len();
            buffers.stream = stream;
            counts.add_back(count);
            written?;
            read.map_err(Fault::Malformed)?;
            if !heard? {
                return Ok(self.raw.ended && !self.is_heard());
            }
            moved += count;
            if moved >= TURN_BYTES {
                return Ok(true);
            }
        }
    }

    fn deliver(&mut self, reader: Segments, stream: &[u8]) -> Result<(), Fault> {
        if let Phase::Joined(Joined { local, segments, .. }) = &mut self.phase {
            *segments = reader;
            local.write(stream)?;
        }
        Ok(())
    }

    /// Reads once and opens what is whole; false when nothing came. Answers of TLS wait in `raw`.
    fn hear(&mut self, buffers: &mut Buffers, plain: Sink<'_>) -> Result<bool, Fault> {
        // what was read with the hello, or the hello that is ours to say
        if matches!(self.phase, Phase::Handshake) {
            let mut held = std::mem::take(&mut self.held);
            let taken = self.session.open(&mut held, plain, self.raw.waiting());
            held.drain(..*taken.as_ref().unwrap_or(&0));
            self.held = held;
            taken?;
            if self.session.secured {
                return Ok(true);
            }
        }
        if self.session.closed {
            return Ok(self.raw.read(&mut buffers.read)?.is_some()); // nobody's
        }
        let kept = self.held.len();
        if kept > MOST_HELD {
            return Err(Fault::Malformed("a TLS message is over its limit"));
        }
        let Some(got) = self.raw.read(&mut buffers.read[kept..])? else { return Ok(false) };
        buffers.read[..kept].copy_from_slice(&self.held);
        let incoming = &mut buffers.read[..kept + got];
        let taken = self.session.open(incoming, plain, self.raw.waiting())?;
        self.held.clear();
        self.held.extend_from_slice(&incoming[taken..]);
        Ok(true)
    }

    fn say(&mut self, plain: &[u8], buffers: &mut Buffers) -> Result<(), Fault> {
        for part in plain.chunks(segment::PREFIX + SEGMENT_BYTES) {
            self.seal(part, &mut buffers.sealed)?;
        }
        Ok(())
    }

    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> Result<(), Fault> {
        let count = self.session.seal(plain, &mut self.held, self.raw.waiting(), sealed)?;
        self.raw.write(&sealed[..count])?;
        Ok(())
    }

    fn say_closed(&mut self, buffers: &mut Buffers) -> Result<(), Fault> {
        let sealed = &mut buffers.sealed;
        let count = self.session.close(&mut self.held, self.raw.waiting(), sealed)?;
        self.raw.write(&sealed[..count])?;
        Ok(())
    }
}
