//! An attachment of any backend, as one type.

use shm_api::{AttachError, Backend, CreateError, CreateOptions, Key, Segment};

/// Which backend a key is for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    #[cfg(all(unix, feature = "sysv"))]
    SysV,
    #[cfg(all(unix, feature = "posix"))]
    Posix,
    #[cfg(windows)]
    Windows,
}

impl Kind {
    fn of(key: &Key) -> Self {
        cfg_if::cfg_if! {
            if #[cfg(windows)] {
                let _ = key; // it has both
                Self::Windows
            } else if #[cfg(all(feature = "sysv", feature = "posix"))] {
                match key {
                    Key::Id(_) => Self::SysV,
                    Key::Name(_) => Self::Posix,
                }
            } else if #[cfg(feature = "sysv")] {
                let _ = key; // a name is refused by the backend
                Self::SysV
            } else {
                let _ = key; // an integer stands for a name
                Self::Posix
            }
        }
    }
}

/// A segment of any backend.
#[derive(Debug)]
#[cfg_attr(
    all(unix, feature = "sysv", feature = "posix"),
    expect(clippy::large_enum_variant, reason = "an Arc has it")
)]
pub(crate) enum Attachment {
    #[cfg(all(unix, feature = "sysv"))]
    SysV(shm_sysv::SysVSegment),
    #[cfg(all(unix, feature = "posix"))]
    Posix(shm_posix::PosixSegment),
    #[cfg(windows)]
    Windows(shm_windows::WindowsSegment),
}

/// Runs an expression with the backend of a [`Kind`].
macro_rules! with_backend {
    ($kind:expr, $backend:ident => $body:expr) => {
        match $kind {
            #[cfg(all(unix, feature = "sysv"))]
            Kind::SysV => {
                let $backend = shm_sysv::SysV::new();
                $body
            }
            #[cfg(all(unix, feature = "posix"))]
            Kind::Posix => {
                let $backend = shm_posix::Posix::new();
                $body
            }
            #[cfg(windows)]
            Kind::Windows => {
                let $backend = shm_windows::Windows::new();
                $body
            }
        }
    };
}

/// Runs an expression with the segment inside an [`Attachment`].
macro_rules! with_segment {
    ($any:expr, $segment:ident => $body:expr) => {
        match $any {
            #[cfg(all(unix, feature = "sysv"))]
            Attachment::SysV($segment) => $body,
            #[cfg(all(unix, feature = "posix"))]
            Attachment::Posix($segment) => $body,
            #[cfg(windows)]
            Attachment::Windows($segment) => $body,
        }
    };
}
pub(crate) use with_segment;

#[cfg(all(unix, feature = "sysv"))]
impl From<shm_sysv::SysVSegment> for Attachment {
    fn from(segment: shm_sysv::SysVSegment) -> Self {
        Self::SysV(segment)
    }
}

#[cfg(all(unix, feature = "posix"))]
impl From<shm_posix::PosixSegment> for Attachment {
    fn from(segment: shm_posix::PosixSegment) -> Self {
        Self::Posix(segment)
    }
}

#[cfg(windows)]
impl From<shm_windows::WindowsSegment> for Attachment {
    fn from(segment: shm_windows::WindowsSegment) -> Self {
        Self::Windows(segment)
    }
}

impl Attachment {
    pub(crate) fn create(key: &Key, options: &CreateOptions) -> Result<Self, CreateError> {
        with_backend!(Kind::of(key), backend => backend.create(key, options).map(Self::from))
    }

    pub(crate) fn create_anywhere(options: &CreateOptions) -> Result<Self, CreateError> {
        // The first that is built in: a random key is an integer.
        cfg_if::cfg_if! {
            if #[cfg(windows)] {
                shm_windows::Windows::new().create_anywhere(options).map(Self::from)
            } else if #[cfg(feature = "sysv")] {
                shm_sysv::SysV::new().create_anywhere(options).map(Self::from)
            } else {
                shm_posix::Posix::new().create_anywhere(options).map(Self::from)
            }
        }
    }

    pub(crate) fn attach(key: &Key) -> Result<Self, AttachError> {
        with_backend!(Kind::of(key), backend => backend.attach(key).map(Self::from))
    }

    pub(crate) fn key(&self) -> &Key {
        with_segment!(self, segment => segment.key())
    }

    pub(crate) fn size(&self) -> usize {
        with_segment!(self, segment => segment.size().get())
    }
}

/// What structures need to know of an attachment.
#[cfg(feature = "sync")]
impl Attachment {
    pub(crate) fn start(&self) -> std::ptr::NonNull<u8> {
        with_segment!(self, segment => segment.as_ptr())
    }

    pub(crate) fn access(&self) -> shm_api::Access {
        with_segment!(self, segment => segment.access())
    }

    pub(crate) fn info(&self) -> Result<shm_api::SegmentInfo, AttachError> {
        let key = self.key();
        match self {
            #[cfg(all(unix, feature = "sysv"))]
            Self::SysV(_) => shm_sysv::SysV::new().info(key),
            #[cfg(all(unix, feature = "posix"))]
            Self::Posix(_) => shm_posix::Posix::new().info(key),
            #[cfg(windows)]
            Self::Windows(_) => shm_windows::Windows::new().info(key),
        }
    }
}
