//! Many paths per peer: pure state machines, with the clock passed in.

/// What a path is good for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Not answered yet.
    Probing,
    /// Packets go by it.
    Active,
    /// Works, and is kept warm.
    Standby,
    /// Unanswered for longer than it should be; packets also go by another.
    Suspect,
    /// Does not answer; probed rarely.
    Down,
}
