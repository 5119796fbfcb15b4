//! What goes to JavaScript and comes from it: keys, attached segments, what is known of one.

use crate::{
    attachments::Number,
    backends::Kind,
    failure::{Failure, check},
};
use napi::{
    bindgen_prelude::{Either, ToNapiValue},
    sys,
};
use napi_derive::napi;
use shm_api::{Key, SegmentInfo, State};
use std::{ptr, time::UNIX_EPOCH};

/// A key as JavaScript has it.
pub(crate) type JsKey = Either<u32, String>;

/// An attached segment, to JavaScript an array: number, key, size and, where there is a view, its `ArrayBuffer`.
#[derive(Debug)]
pub struct Attached {
    pub(crate) number: Number,
    pub(crate) key: JsKey,
    pub(crate) size: f64,
    pub(crate) buffer: Option<sys::napi_value>,
}

impl ToNapiValue for Attached {
    unsafe fn to_napi_value(env: sys::napi_env, attached: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: the caller passes an environment whose scope is open.
        let number = unsafe { u32::to_napi_value(env, attached.number) }?;
        // SAFETY: as above.
        let key = unsafe { JsKey::to_napi_value(env, attached.key) }?;
        // SAFETY: as above.
        let size = unsafe { f64::to_napi_value(env, attached.size) }?;
        let mut array = ptr::null_mut();
        // SAFETY: as above, and the pointer is ours to write to.
        check(unsafe { sys::napi_create_array_with_length(env, 4, &raw mut array) })?;
        for (index, value) in
            [Some(number), Some(key), Some(size), attached.buffer].into_iter().flatten().enumerate()
        {
            // SAFETY: values of this scope. An index is much cheaper here than a property's name.
            check(unsafe { sys::napi_set_element(env, array, index as u32, value) })?;
        }
        Ok(array)
    }
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
    pub(crate) fn new(kind: Kind, info: SegmentInfo) -> Self {
        Self {
            key: from_key(&info.key),
            backend: kind.name(),
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
            Key::name(&name).map_err(|error| Failure::Value(format!("{:?} is no key: {error}", shown())))
        }
    }
}

pub(crate) fn from_key(key: &Key) -> JsKey {
    match key {
        Key::Id(id) => Either::A(id.get()),
        Key::Name(name) => Either::B(name.as_str().into()),
    }
}
