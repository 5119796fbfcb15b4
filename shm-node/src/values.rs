//! Values that go to JavaScript or come from it: keys, attached segments, descriptions of segments.

use crate::{
    attachments::Number,
    backends::BackendId,
    failure::{Failure, check},
};
use napi::{
    Env, JsValue,
    bindgen_prelude::{Either, Function, ToNapiValue},
    sys,
};
use napi_derive::napi;
use shm_api::{Key, SegmentInfo, State};
use std::{ptr, time::UNIX_EPOCH};

/// A key as JavaScript has it.
pub(crate) type JsKey = Either<u32, String>;

/// A value that JavaScript made.
#[derive(Debug)]
pub struct Made(sys::napi_value);

impl ToNapiValue for Made {
    unsafe fn to_napi_value(_env: sys::napi_env, made: Self) -> napi::Result<sys::napi_value> {
        Ok(made.0)
    }
}

/// An attached segment, as arguments of the JavaScript function that makes the caller's result of it.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) number: Number,
    pub(crate) backend: u32,
    pub(crate) key: JsKey,
    pub(crate) size: f64,
    /// Where there is a view.
    pub(crate) buffer: Option<sys::napi_value>,
}

impl Attached {
    /// Calls the function. If it throws, JavaScript sees the exception only after `undo` has run. So when a program
    /// catches it, nothing is left, and no later step of ours can fail, for example because the stack is full.
    pub(crate) fn handed_to(
        self,
        env: Env,
        make: &Function<'_>,
        undo: impl FnOnce(),
    ) -> Result<Made, Failure> {
        let made = self.call(env.raw(), make.raw());
        if made.is_err() {
            let thrown = take_exception(env.raw());
            undo();
            if let Some(thrown) = thrown {
                // SAFETY: a value of this scope.
                check(unsafe { sys::napi_throw(env.raw(), thrown) })?;
                return Err(Failure::Pending);
            }
        }
        Ok(made.map(Made)?)
    }

    fn call(self, env: sys::napi_env, make: sys::napi_value) -> napi::Result<sys::napi_value> {
        let (mut nothing, mut made) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the caller passes an environment whose scope is open, and the pointer is ours to write to.
        check(unsafe { sys::napi_get_undefined(env, &raw mut nothing) })?;
        let arguments = [
            // SAFETY: as above.
            unsafe { u32::to_napi_value(env, self.number) }?,
            // SAFETY: as above.
            unsafe { u32::to_napi_value(env, self.backend) }?,
            // SAFETY: as above.
            unsafe { JsKey::to_napi_value(env, self.key) }?,
            // SAFETY: as above.
            unsafe { f64::to_napi_value(env, self.size) }?,
            self.buffer.unwrap_or(nothing),
        ];
        // SAFETY: values of this scope, as many as is said.
        check(unsafe {
            sys::napi_call_function(env, nothing, make, arguments.len(), arguments.as_ptr(), &raw mut made)
        })?;
        Ok(made)
    }
}

/// The exception that JavaScript threw; it is no longer pending then.
fn take_exception(env: sys::napi_env) -> Option<sys::napi_value> {
    let (mut is_pending, mut thrown) = (false, ptr::null_mut());
    // SAFETY: an environment whose scope is open, and a pointer that is ours to write to.
    check(unsafe { sys::napi_is_exception_pending(env, &raw mut is_pending) }).ok()?;
    if !is_pending {
        return None;
    }
    // SAFETY: as above.
    check(unsafe { sys::napi_get_and_clear_last_exception(env, &raw mut thrown) }).ok()?;
    Some(thrown)
}

/// What is known of a segment, for JavaScript.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct Info {
    /// An integer or a name.
    pub key: JsKey,
    /// The backend's name.
    pub backend: &'static str,
    /// Bytes.
    pub size: f64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mappings, where the kernel counts them.
    pub holders: Option<f64>,
    /// The creating process.
    pub creator: Option<u32>,
    /// Milliseconds since 1970.
    pub created: Option<f64>,
    /// `held`, `orphan`, `persistent` or `foreign`.
    pub state: &'static str,
}

impl Info {
    pub(crate) fn new(backend: BackendId, info: SegmentInfo) -> Self {
        Self {
            key: from_key(&info.key),
            backend: backend.name(),
            size: info.size as f64,
            mode: info.mode.bits(),
            uid: info.uid,
            gid: info.gid,
            holders: info.holders.map(|holders| holders as f64),
            creator: info.creator,
            created: info
                .created
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .map(|since| (since.as_micros() as f64 / 1000.0).floor()),
            state: match info.state {
                State::Held => "held",
                State::Orphan => "orphan",
                State::Persistent => "persistent",
                _ => "foreign",
            },
        }
    }
}

pub(crate) fn to_key(key: JsKey) -> Result<Key, Failure> {
    match key {
        Either::A(id) => Key::id(id).ok_or_else(|| Failure::Range("an integer key is 1 to 2^32 - 1".into())),
        Either::B(name) => {
            let shown = || name.chars().take(60).collect::<String>();
            Key::name(&name).map_err(|error| Failure::Value(format!("{:?} is not a key: {error}", shown())))
        }
    }
}

pub(crate) fn from_key(key: &Key) -> JsKey {
    match key {
        Key::Id(id) => Either::A(id.get()),
        Key::Name(name) => Either::B(name.as_str().into()),
    }
}
