//! ChaCha20-Poly1305 (RFC 8439) on AVX-512 for data messages: no associated data, sealed out of place, padded on the way.
//!
//! Sixteen blocks of key stream side by side (`chacha`), eight lanes of the authenticator (`poly`). Nothing here branches on,
//! or indexes by, a secret. In `io` because it speaks to the machine directly; why it is there is in docs/decisions/0021.

#[cfg(target_arch = "x86_64")]
mod chacha;
#[cfg(target_arch = "x86_64")]
mod message;
#[cfg(target_arch = "x86_64")]
mod poly;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

const TAG: usize = 16;

/// The proof that this processor has what the code needs; only `detect` makes one.
#[derive(Clone, Copy, Debug)]
pub struct Wide(());

impl Wide {
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        let able = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma");
        #[cfg(not(target_arch = "x86_64"))]
        let able = false;
        able.then_some(Self(()))
    }

    /// Seals `plain` into `sealed`, which ends with 16 bytes for the tag; what it has beyond both is sealed as zeros.
    /// Panics when `sealed` is shorter than `plain` and the tag.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn seal(self, key: &[u8; 32], nonce: &[u8; 12], plain: &[u8], sealed: &mut [u8]) {
        assert!(sealed.len() >= plain.len() + TAG, "no room for the tag");
        // SAFETY: the processor has the features, or there would be no `self`.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            message::seal(key, nonce, plain, sealed)
        }
    }

    /// Opens in place; false, and nothing changed, if it was not sealed under this key and nonce.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn open(self, key: &[u8; 32], nonce: &[u8; 12], sealed: &mut [u8]) -> bool {
        // SAFETY: the processor has the features, or there would be no `self`.
        #[cfg(target_arch = "x86_64")]
        return unsafe { message::open(key, nonce, sealed) };
        #[cfg(not(target_arch = "x86_64"))]
        false
    }
}
