//! Datagrams at the forwarder's door, and what its client is answered. A body of `crate::fuzzing`.

use super::bind_client::BindClient;
use super::door::{Door, Outcome};
use super::limiter::Rate;
use super::session::{Origin, SessionConfig, SideConfig};
use super::table::Table;
use super::wire::{self, BIND_LENGTH, Kind};
use std::cell::RefCell;
use std::net::SocketAddr;

const NOW: u64 = 1_000_000;
const VIA: Origin = Origin { socket: 0, local: None };

struct World {
    door: Door,
    table: Table,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(world());
}

#[expect(clippy::expect_used, reason = "fixed options: a failure here is a failure of the target")]
fn world() -> World {
    let sides = [10, 20].map(|slot| SideConfig { slot, secret: [slot as u8; 32] });
    let session = SessionConfig { id: "s".into(), sides, lasts_ms: 600_000, quota_bytes: None };
    let mut table = Table::default();
    table.update(vec![session], &[], NOW).expect("a session");
    let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
    World { door: Door::new(true, rate, || Ok([9; 32]), NOW).expect("a door"), table }
}

/// Nobody who does not know a secret is bound or forwarded for, and no answer is longer than its question.
pub fn forwarder(data: &[u8]) {
    let from = SocketAddr::from(([192, 0, 2, 1], 7));
    WORLD.with_borrow_mut(|World { door, table }| {
        if let Some((Kind::Forward, slot, payload)) = wire::open(data) {
            assert!(table.route(slot, from, payload, NOW).is_none(), "nobody is bound");
        }
        let answer = match door.answer(data, from, VIA, table, NOW) {
            Outcome::Bound(_) => panic!("bound without the secret"),
            Outcome::Stun(answer) | Outcome::Cookie(answer) | Outcome::Refused(answer) => answer,
            Outcome::Limited | Outcome::Ignored => Vec::new(),
        };
        assert!(answer.len() <= data.len());
    });
    let mut client = BindClient::new(10, [10; 32], 1_790_000_000_000);
    let request = client.poll(NOW).unwrap_or([0; BIND_LENGTH]);
    client.on_message(data, NOW);
    // the same with the client's own nonce in it, as an attacker who sees the request would send it
    let mut informed = data.to_vec();
    if let (Some(to), Some(nonce)) = (informed.get_mut(8..24), request.get(8..24)) {
        to.copy_from_slice(nonce);
        client.on_message(&informed, NOW);
    }
    assert!(!client.is_bound(NOW), "bound by one who does not know the secret");
}
