//! The functions that are called for every lock, without the generated glue.
//!
//! A generated binding costs 110 to 160 ns a call and a fresh `String` for each key; these cost about 50, and the key is
//! read into the stack. They are the reason why an uncontended lock in memory is faster than one in JavaScript. What they
//! do is in [`engine`](super::engine); here is only the passage.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::bindgen_prelude::{JsValue, Unknown};
use napi::{Env, ValueType, sys};
use napi_derive::napi;

use super::engine;
use super::error::{CodedError, Result, internal};
use super::{options, server};

/// Keys and owners up to this many bytes are read into the stack.
const INLINE: usize = 256;

/// Adds to `target`: `acquire(space, key, ttl, manner, owner?)` and `release(space, slot, serial)`, which return a status;
/// `serverAcquire(server, key, owner, ttl, attempts, delay, timeout, ticket, fenced)` and
/// `serverRelease(server, key, owner, endsAt, ticket)`, which end with a settlement for the ticket.
#[napi]
pub fn install_hot_path(env: Env, #[napi(ts_arg_type = "object")] target: Unknown<'_>) -> Result<()> {
    if !matches!(target.get_type(), Ok(ValueType::Object)) {
        return Err(internal("an object was expected"));
    }
    let callbacks = [
        (c"acquire", acquire as Callback),
        (c"release", release as Callback),
        (c"serverAcquire", server_acquire as Callback),
        (c"serverRelease", server_release as Callback),
    ];
    for (name, callback) in callbacks {
        define(&env, &target, name, callback)?;
    }
    Ok(())
}

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

fn define(env: &Env, target: &Unknown<'_>, name: &CStr, callback: Callback) -> Result<()> {
    let mut function = ptr::null_mut();
    // SAFETY: `env` is live and on its thread (napi hands out `Env` only there); `name` is NUL-terminated and copied by
    // the call; the callback needs no data pointer, so nothing has to outlive it.
    let status = unsafe {
        sys::napi_create_function(
            env.raw(),
            name.as_ptr(),
            -1,
            Some(callback),
            ptr::null_mut(),
            &raw mut function,
        )
    };
    if status != sys::Status::napi_ok {
        return Err(internal("a function could not be created"));
    }
    // SAFETY: both values belong to the handle scope of the call that we are in.
    let status = unsafe { sys::napi_set_named_property(env.raw(), target.raw(), name.as_ptr(), function) };
    if status == sys::Status::napi_ok { Ok(()) } else { Err(internal("a function could not be installed")) }
}

/// `acquire(space, key, ttl, manner, owner?)`.
unsafe extern "C" fn acquire(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    run(env, || {
        // SAFETY: called by Node.js with the environment and the callback info of this very call.
        let passage = unsafe { Passage::<5>::read(env, info) }?;
        let (mut key, mut owner) = (Text::new(), Text::new());
        let key = passage.text(1, &mut key)?.ok_or_else(|| internal("the key must be a string"))?;
        let owner = passage.text(4, &mut owner)?;
        engine::attempt(passage.number_u32(0)?, key, passage.number(2)?, passage.number_u32(3)?, owner)
    })
}

/// `release(space, slot, serial)`.
unsafe extern "C" fn release(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    run(env, || {
        // SAFETY: called by Node.js with the environment and the callback info of this very call.
        let passage = unsafe { Passage::<3>::read(env, info) }?;
        engine::release(passage.number_u32(0)?, passage.number_u32(1)?, passage.number(2)?)
    })
}

/// `serverAcquire(server, key, owner, ttl, attempts, delay, timeout, ticket, fenced)`.
unsafe extern "C" fn server_acquire(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    run(env, || {
        // SAFETY: called by Node.js with the environment and the callback info of this very call.
        let passage = unsafe { Passage::<9>::read(env, info) }?;
        let (mut key, mut owner) = (Text::new(), Text::new());
        let [key, owner] = passage.texts([(1, &mut key), (2, &mut owner)])?;
        let number = |index| passage.number(index);
        let retry = options::retry(number(4)?, number(5)?, number(6)?)?;
        let claim = server::claim(key, owner, number(3)?, passage.number_u32(8)? != 0)?;
        server::acquire(passage.number_u32(0)?, claim, retry, passage.number_u32(7)?)
    })
}

/// `serverRelease(server, key, owner, endsAt, ticket)`.
unsafe extern "C" fn server_release(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    run(env, || {
        // SAFETY: called by Node.js with the environment and the callback info of this very call.
        let passage = unsafe { Passage::<5>::read(env, info) }?;
        let (mut key, mut owner) = (Text::new(), Text::new());
        let [key, owner] = passage.texts([(1, &mut key), (2, &mut owner)])?;
        server::release(passage.number_u32(0)?, key, owner, passage.number(3)?, passage.number_u32(4)?)
    })
}

/// Returns a status to JavaScript, or throws. A panic becomes an error: it must not unwind into C.
fn run(env: sys::napi_env, call: impl FnOnce() -> Result<u32>) -> sys::napi_value {
    let result =
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(internal("a defect in the lock engine")));
    let mut returned = ptr::null_mut();
    match result {
        // SAFETY: `env` is the environment of the running call; `returned` is a valid place for the handle.
        Ok(status) => unsafe {
            sys::napi_create_uint32(env, status, &raw mut returned);
        },
        Err(error) => throw(env, &error),
    }
    returned
}

fn throw(env: sys::napi_env, error: &CodedError) {
    let length = |text: &str| isize::try_from(text.len()).unwrap_or(isize::MAX);
    let (code, message) = (error.status, error.reason.as_str());
    let (mut code_value, mut message_value, mut thrown) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: `env` is the environment of the running call; the strings are valid UTF-8 of the given lengths and are
    // copied. Should one of the calls fail, the next refuses its null argument and nothing is thrown.
    unsafe {
        sys::napi_create_string_utf8(env, code.as_ptr().cast::<c_char>(), length(code), &raw mut code_value);
        sys::napi_create_string_utf8(
            env,
            message.as_ptr().cast::<c_char>(),
            length(message),
            &raw mut message_value,
        );
        sys::napi_create_error(env, code_value, message_value, &raw mut thrown);
        sys::napi_throw(env, thrown);
    }
}

/// The arguments of a call.
struct Passage<const N: usize> {
    env: sys::napi_env,
    arguments: [sys::napi_value; N],
}

impl<const N: usize> Passage<N> {
    /// # Safety
    /// `env` and `info` must be those of a callback that is running on this thread.
    unsafe fn read(env: sys::napi_env, info: sys::napi_callback_info) -> Result<Self> {
        let mut arguments = [ptr::null_mut(); N];
        let mut count = N;
        // SAFETY: by this function's own condition; there is room for `count` values, and Node.js fills those that the
        // caller left out with `undefined`.
        let status = unsafe {
            sys::napi_get_cb_info(
                env,
                info,
                &raw mut count,
                arguments.as_mut_ptr(),
                ptr::null_mut(),
                ptr::null_mut::<*mut c_void>(),
            )
        };
        if status == sys::Status::napi_ok {
            Ok(Self { env, arguments })
        } else {
            Err(internal("no arguments"))
        }
    }

    fn number(&self, index: usize) -> Result<f64> {
        let mut number = 0.0;
        // SAFETY: the value is an argument of the running call; a wrong type is reported by the status.
        let status = unsafe { sys::napi_get_value_double(self.env, self.arguments[index], &raw mut number) };
        if status == sys::Status::napi_ok { Ok(number) } else { Err(internal("a number was expected")) }
    }

    fn number_u32(&self, index: usize) -> Result<u32> {
        let mut number = 0;
        // SAFETY: as in `number`.
        let status = unsafe { sys::napi_get_value_uint32(self.env, self.arguments[index], &raw mut number) };
        if status == sys::Status::napi_ok { Ok(number) } else { Err(internal("a number was expected")) }
    }

    /// String arguments.
    fn texts<'t, const M: usize>(&self, wanted: [(usize, &'t mut Text); M]) -> Result<[&'t str; M]> {
        let mut texts = [""; M];
        for (text, (index, place)) in texts.iter_mut().zip(wanted) {
            *text = self.text(index, place)?.ok_or_else(|| internal("a string was expected"))?;
        }
        Ok(texts)
    }

    /// A string argument, or `None` for anything that isn't one.
    fn text<'t>(&self, index: usize, place: &'t mut Text) -> Result<Option<&'t str>> {
        let mut length = 0;
        // SAFETY: as in `number`; at most INLINE bytes are written, the last of them a NUL.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                self.env,
                self.arguments[index],
                place.inline.as_mut_ptr().cast::<c_char>(),
                INLINE,
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return Ok(None);
        }
        let bytes = if length < INLINE - 4 {
            // SAFETY: Node.js has written `length` bytes.
            unsafe { std::slice::from_raw_parts(place.inline.as_ptr().cast::<u8>(), length) }
        } else {
            // It may have been cut (in front of a character of up to four bytes that didn't fit): read it whole.
            place.read_long(self.env, self.arguments[index])?
        };
        std::str::from_utf8(bytes).map(Some).map_err(|_| internal("a string that isn't text"))
    }
}

/// A place for the bytes of a string.
struct Text {
    inline: [MaybeUninit<u8>; INLINE],
    long: Vec<u8>,
}

impl Text {
    fn new() -> Self {
        Self { inline: [const { MaybeUninit::uninit() }; INLINE], long: Vec::new() }
    }

    fn read_long(&mut self, env: sys::napi_env, value: sys::napi_value) -> Result<&[u8]> {
        let mut length = 0;
        // SAFETY: `value` is a string argument of the running call; without a buffer only its length is told.
        let status =
            unsafe { sys::napi_get_value_string_utf8(env, value, ptr::null_mut(), 0, &raw mut length) };
        if status != sys::Status::napi_ok {
            return Err(internal("a string could not be read"));
        }
        self.long.resize(length + 1, 0);
        // SAFETY: there is room for the string and its NUL.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                env,
                value,
                self.long.as_mut_ptr().cast::<c_char>(),
                self.long.len(),
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return Err(internal("a string could not be read"));
        }
        Ok(&self.long[..length])
    }
}
