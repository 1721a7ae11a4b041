use super::end::End;
use super::outcome::{Fault, Turn};
use super::splicer::Counts;
use super::worker::{Buffers, TURN_BYTES};

/// Two raw connections joined.
pub struct Plain {
    pub ends: [End; 2],
}

impl Plain {
    /// Moves what can be moved, both ways.
    pub fn turn(&mut self, buffers: &mut Buffers, counts: &Counts) -> Result<Turn, Fault> {
        let [a, b] = &mut self.ends;
        let mut again = pass(a, b, buffers, |count| counts.add_forth(count))?;
        again |= pass(b, a, buffers, |count| counts.add_back(count))?;
        Ok(match () {
            () if a.is_over() && b.is_over() => Turn::Over,
            () if again => Turn::Again,
            () => Turn::Waits,
        })
    }
}

/// One direction; true when there may be more at once. An end is passed on by the turn after the one that read it: an
/// order to break off may have been given before.
fn pass(
    from: &mut End,
    to: &mut End,
    buffers: &mut Buffers,
    count: impl Fn(usize),
) -> Result<bool, Fault> {
    if !to.flush()? {
        return Ok(false);
    }
    if from.ended {
        to.finish()?;
        return Ok(false);
    }
    let mut moved = 0;
    while let Some(got) = from.read(&mut buffers.read)? {
        count(got);
        to.write(&buffers.read[..got])?;
        moved += got;
        if !to.is_idle() {
            return Ok(false);
        }
        if moved >= TURN_BYTES {
            return Ok(true);
        }
    }
    Ok(from.ended)
}
