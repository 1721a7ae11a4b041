//! The protocol's constants (paper, 6.1; `drivers/net/wireguard/messages.h`). Times are milliseconds of the boot clock.

/// Milliseconds of `CLOCK_BOOTTIME`: passed in everywhere, read nowhere in this room.
pub type Millis = u64;

/// Messages after which the sender asks for new keys.
pub const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
/// The counter at which a key is dead for good.
pub const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);
/// Age at which the initiator of a session makes a new one when it sends.
pub const REKEY_AFTER_MS: Millis = 120_000;
/// Age at which a session neither sends nor receives.
pub const REJECT_AFTER_MS: Millis = 180_000;
/// Pause between two initiations; a random part of up to `JITTER_MS` is added when repeating.
pub const REKEY_TIMEOUT_MS: Millis = 5_000;
/// Upper bound of the jitter of repeated handshakes.
pub const JITTER_MS: Millis = 333;
/// How long repeating an unanswered initiation goes on.
pub const REKEY_ATTEMPT_MS: Millis = 90_000;
/// Repetitions after which a handshake is given up.
pub const ATTEMPTS: u32 = (REKEY_ATTEMPT_MS / REKEY_TIMEOUT_MS) as u32;
/// Silence after received data that is broken by an empty packet.
pub const KEEPALIVE_MS: Millis = 10_000;
/// Age at which the initiator renews when it receives: the last chance to do so before the session dies.
pub const LAST_MINUTE_MS: Millis = REJECT_AFTER_MS - KEEPALIVE_MS - REKEY_TIMEOUT_MS;
/// Least time between two initiations accepted from one peer (50 a second).
pub const INITIATION_GAP_MS: Millis = 20;
/// Life of the secret behind cookies.
pub const COOKIE_SECRET_MS: Millis = 120_000;
/// How much earlier than its maker the receiver of a cookie lets go of it.
pub const COOKIE_LATENCY_MS: Millis = 5_000;
/// Packets that wait for a session of one peer; the oldest goes first.
pub const STAGED_LIMIT: usize = 128;
/// Received handshake messages that may wait before the rest is dropped.
pub const QUEUE_LIMIT: usize = 4_096;
/// Waiting handshake messages from which on we are under load.
pub const QUEUE_LOAD: usize = QUEUE_LIMIT / 8;
/// Worthless messages with a right first MAC in `LOAD_MS` from which on we are under load.
pub const WASTED_LOAD: u32 = 1_000;
/// How long load is remembered, and counted.
pub const LOAD_MS: Millis = 1_000;
