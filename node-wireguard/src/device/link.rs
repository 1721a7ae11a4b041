//! A thread that watches an interface which somebody else sets up: whether it is up, and its MTU; and routes beside it.

use super::control::Control;
use super::shared::Shared;
use crate::io::{Events, Interest, LinkWatch, Poller};
use std::io;
use std::time::Instant;

const LINK: u64 = 0;
const STOPPED: u64 = 1;
/// Looks at the ways of thousands of peers take one part in so many of the control thread's time, however often routes change.
const SHARE: u32 = 20;

/// Tells the control thread what becomes of the link, until the device ends.
pub fn watch(shared: &Shared, link: &mut LinkWatch) -> io::Result<()> {
    let (poller, mut events) = (Poller::new()?, Events::new());
    poller.add(link, LINK, Interest::Read)?;
    poller.add(&shared.stopped, STOPPED, Interest::Read)?;
    let rest = Poller::new()?;
    rest.add(&shared.stopped, STOPPED, Interest::Read)?;
    loop {
        // A link that is gone ends the shard, which says so.
        let Some(state) = link.state()? else { return Ok(()) };
        let look = move |control: &mut Control| {
            control.set_link(state.up, state.mtu);
            let begun = Instant::now();
            control.look_at_ways();
            begun.elapsed()
        };
        let Ok(took) = shared.call(look) else { return Ok(()) };
        rest.wait(&mut events, Some(took * SHARE))?;
        if events.iter().any(|event| event.token == STOPPED) {
            return Ok(());
        }
        poller.wait(&mut events, None)?;
        if events.iter().any(|event| event.token == STOPPED) {
            return Ok(());
        }
    }
}
