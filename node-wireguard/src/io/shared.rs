//! Memory that JavaScript reads while the engine writes it.

use napi::bindgen_prelude::BigUint64Array;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A `BigUint64Array` over the words of `owner`, which lives as long as the array does. `words` must give the same
/// slice for as long. Make one array per owner: an address backs one external buffer at a time.
pub fn shared_words<T: Send + Sync + 'static>(
    owner: Arc<T>,
    words: impl Fn(&T) -> &[AtomicU64],
) -> BigUint64Array {
    let slice = words(&owner);
    let (data, length) = (slice.as_ptr().cast::<u64>().cast_mut(), slice.len());
    // SAFETY: the words stay where they are until the owner is dropped, and the array's finalizer holds it. An AtomicU64
    // has the layout of a u64 and allows writes through a shared pointer.
    unsafe { BigUint64Array::with_external_data(data, length, move |_, _| drop(owner)) }
}
