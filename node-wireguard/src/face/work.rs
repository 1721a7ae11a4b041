use super::failure::Failure;
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::Builder;

const STACK_BYTES: usize = 512 << 10;

type Settle<J> = Box<dyn FnOnce(Env) -> Result<J> + Send>;

/// A promise for work that waits, on a thread of its own: libuv's pool has four threads, and DNS and files need them.
/// `wrap` makes the JavaScript value, on the JavaScript thread. A panic of the work rejects.
pub fn promise<'env, T, J, W, R>(env: &'env Env, work: W, wrap: R) -> Result<Object<'env>>
where
    T: Send + 'static,
    J: ToNapiValue + 'static,
    W: FnOnce() -> std::result::Result<T, Failure> + Send + 'static,
    R: FnOnce(T) -> Result<J> + Send + 'static,
{
    let (deferred, promise) = env.create_deferred::<J, Settle<J>>()?;
    let run = move || match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => deferred.resolve(Box::new(move |_| wrap(done))),
        Ok(Err(failure)) => deferred.reject(failure.into()),
        Err(panic) => deferred.reject(Failure::failed(panic_text(&*panic)).into()),
    };
    let builder = Builder::new().name("wireguard-call".into()).stack_size(STACK_BYTES);
    builder
        .spawn(run)
        .map_err(|error| Error::from(Failure::busy(format!("no thread to be had: {error}"))))?;
    Ok(promise)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a word")
}
