//! Errors, as JavaScript sees them.

use napi::{Env, JsValue, Status, bindgen_prelude::*, sys};
use shm_api::{AttachError, CreateError, DestroyError, InvalidKey, Key, OsError};
use std::ptr;

cfg_if::cfg_if! {
    if #[cfg(unix)] {
        mod unix;
        use unix as system;
    } else {
        mod windows;
        use windows as system;
    }
}

pub(crate) use system::{AGAIN, BUSY};

/// An error, with the class and the code that Node would use.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A wrong value: `TypeError` with `ERR_INVALID_ARG_VALUE`.
    Value(String),
    /// A value out of its range: `RangeError` with `ERR_OUT_OF_RANGE`.
    Range(String),
    /// The system refused: `Error` with `code`, `errno`, `syscall` and `key`.
    System(OsError),
    /// An error of this library: `Error` with a code of its own.
    Ours(&'static str, String),
    /// Not an error: there is no such segment.
    NotFound,
    /// Not an error: that key is taken.
    Exists,
    /// JavaScript threw already.
    Pending,
}

impl Failure {
    pub(crate) fn internal(what: &str) -> Self {
        Self::Ours("ERR_INTERNAL_ASSERTION", format!("{what}: this is a bug in shm-node, please report it"))
    }

    #[cfg(all(unix, feature = "sysv"))]
    pub(crate) fn unsupported(what: &'static str, key: &Key) -> Self {
        Self::System(OsError::new("shmat", libc::ENOTSUP).on(key).advise(what))
    }

    pub(crate) fn shrunk(key: &Key) -> Self {
        let why = "was made smaller by another process, or was created with `reserve: false` and had no room for a \
                   page. The missing part reads as zeros here: detach the segment, and get it again";
        Self::Ours("ERR_SHM_SHRUNK", format!("segment {key} {why}"))
    }

    /// What an error of Rust says about an option, with the option's name and value as JavaScript has them.
    pub(crate) fn about_options(error: &impl ToString) -> String {
        let names = [
            ("max_message", "maxMessage"),
            ("max_value", "maxValue"),
            ("tag_slots", "tagSlots"),
            ("Producers::One", "'one'"),
            ("Producers::Many", "'many'"),
        ];
        names.iter().fold(error.to_string(), |text, (rust, javascript)| text.replace(rust, javascript))
    }

    /// Throws it, and returns the error that a napi function then returns.
    pub(crate) fn throw(self, env: &Env) -> Error {
        match self.raise(env) {
            Ok(()) => Error::new(Status::PendingException, ""),
            Err(error) => error,
        }
    }

    fn raise(self, env: &Env) -> Result<()> {
        let (make, code, message, system): (system::Make, _, _, _) = match self {
            Self::Value(message) => {
                (sys::napi_create_type_error, "ERR_INVALID_ARG_VALUE".into(), message, None)
            }
            Self::Range(message) => (sys::napi_create_range_error, "ERR_OUT_OF_RANGE".into(), message, None),
            Self::Ours(code, message) => (sys::napi_create_error, code.into(), message, None),
            Self::System(error) => {
                let (code, errno) = system::named(error.errno());
                (sys::napi_create_error, code, error.to_string(), Some((error, errno)))
            }
            Self::Pending => return Ok(()),
            Self::NotFound | Self::Exists => return Err(Error::from_reason("not an error")),
        };
        let (code, message) = (env.create_string(&code)?, env.create_string(&message)?);
        let mut error = ptr::null_mut();
        // SAFETY: the values are of this scope, and the pointer is ours to write to.
        check(unsafe { make(env.raw(), code.raw(), message.raw(), &raw mut error) })?;
        if let Some((system, errno)) = system {
            // SAFETY: napi made it in this scope, and it is an object.
            let mut object = unsafe { Object::from_napi_value(env.raw(), error) }?;
            object.set("errno", errno)?;
            object.set("syscall", system.call())?;
            match system.key() {
                Some(Key::Id(id)) => object.set("key", id.get())?,
                Some(Key::Name(name)) => object.set("key", name.as_str())?,
                None => {}
            }
        }
        // SAFETY: an error value of this scope.
        check(unsafe { sys::napi_throw(env.raw(), error) })
    }
}

/// The result of a napi function: a failure is thrown.
pub(crate) fn or_throw<T>(env: Env, work: impl FnOnce() -> std::result::Result<T, Failure>) -> Result<T> {
    work().map_err(|failure| failure.throw(&env))
}

/// A napi status as a result.
pub(crate) fn check(status: sys::napi_status) -> Result<()> {
    match Status::from(status) {
        Status::Ok => Ok(()),
        status => Err(Error::new(status, "N-API refused".to_owned())),
    }
}

impl From<OsError> for Failure {
    fn from(error: OsError) -> Self {
        Self::System(error)
    }
}

impl From<InvalidKey> for Failure {
    fn from(error: InvalidKey) -> Self {
        Self::Value(error.to_string())
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Exists { .. } => Self::Exists,
            CreateError::InvalidKey(error) => error.into(),
            CreateError::Os(error) => error.into(),
            CreateError::Unreadable { .. } => Self::Range(error.to_string()),
            error => Self::Ours("ERR_SHM_CREATE", error.to_string()),
        }
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::NotFound { .. } => Self::NotFound,
            AttachError::InvalidKey(error) => error.into(),
            AttachError::Os(error) => error.into(),
            error => Self::Ours("ERR_SHM_ATTACH", error.to_string()),
        }
    }
}

impl From<DestroyError> for Failure {
    fn from(error: DestroyError) -> Self {
        match error {
            DestroyError::NotFound { .. } => Self::NotFound,
            DestroyError::InvalidKey(error) => error.into(),
            DestroyError::Os(error) => error.into(),
            error => Self::Ours("ERR_SHM_DESTROY", error.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.status {
            Status::PendingException => Self::Pending,
            status => Self::Ours("ERR_NAPI", format!("{status}: {}", error.reason)),
        }
    }
}
