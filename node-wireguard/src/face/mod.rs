//! What Node sees: N-API classes and the values that cross the border, no logic. `../index.ts` is its only caller.

mod device;
mod event;
mod failure;
mod forwarder;
mod kernel;
mod keys;
mod listening;
mod mailbox;
mod options;
mod settings;
mod splicer;
mod status;
mod streams;
mod value;
mod work;
