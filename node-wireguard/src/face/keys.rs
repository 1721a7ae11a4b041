use super::failure::Failure;
use super::value::key;
use crate::crypto;
use napi::Result;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use zeroize::Zeroizing;

#[napi(catch_unwind)]
pub fn public_key_of(private_key: Uint8Array) -> Result<Uint8Array> {
    let private = Zeroizing::new(key(&private_key, "the private key")?);
    Ok(crypto::public_key(&private).to_vec().into())
}

#[napi(catch_unwind)]
pub fn generate_private_key() -> Result<Uint8Array> {
    let no_randomness = |_| Failure::failed("the kernel gave no random numbers");
    let mut private = crypto::random::<32>().map_err(no_randomness)?;
    private[0] &= 248; // RFC 7748 § 5
    private[31] = private[31] & 127 | 64;
    Ok(private.to_vec().into())
}
