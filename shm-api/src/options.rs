//! The options with which a segment is created.

use std::num::NonZeroUsize;

/// The options of [`Backend::create`](crate::Backend::create). Only the size has no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    size: NonZeroUsize,
    mode: Mode,
    persist: bool,
    reserve: bool,
    huge_pages: bool,
    populate: bool,
}

impl CreateOptions {
    /// Options for a segment of `size` bytes, with mode 0600 and reserved room, which its last holder destroys.
    pub const fn new(size: NonZeroUsize) -> Self {
        Self { size, mode: Mode::OWNER, persist: false, reserve: true, huge_pages: false, populate: false }
    }

    /// The permission bits. Default: only the owner may attach, whatever the umask.
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether to keep the segment when no process holds it, until it is destroyed. Default: no.
    #[must_use]
    pub const fn persist(mut self, persist: bool) -> Self {
        self.persist = persist;
        self
    }

    /// Whether to reserve room now, so that no later write can fail. Default: yes.
    #[must_use]
    pub const fn reserve(mut self, reserve: bool) -> Self {
        self.reserve = reserve;
        self
    }

    /// Whether to ask for huge pages. It has no effect if the system does not allow them. Default: no.
    #[must_use]
    pub const fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    /// Whether to map all pages now, as [`Segment::populate`](crate::Segment::populate) does. Default: no.
    #[must_use]
    pub const fn populate(mut self, populate: bool) -> Self {
        self.populate = populate;
        self
    }

    /// The size in bytes.
    pub const fn size(&self) -> NonZeroUsize {
        self.size
    }

    /// The permission bits.
    pub const fn permissions(&self) -> Mode {
        self.mode
    }

    /// Whether the segment outlives its last holder.
    pub const fn persists(&self) -> bool {
        self.persist
    }

    /// Whether room is reserved at once.
    pub const fn reserves(&self) -> bool {
        self.reserve
    }

    /// Whether huge pages are asked for.
    pub const fn wants_huge_pages(&self) -> bool {
        self.huge_pages
    }

    /// Whether all pages are mapped at once.
    pub const fn populates(&self) -> bool {
        self.populate
    }
}

/// Permission bits, 0 to 0777.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode(u16);

impl Mode {
    /// 0600: read and write for the owner.
    pub const OWNER: Self = Self(0o600);

    /// `None` if a bit other than the nine permission bits is set.
    pub const fn new(bits: u32) -> Option<Self> {
        if bits <= 0o777 { Some(Self(bits as u16)) } else { None }
    }

    /// The nine bits.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Whether other users than the owner may open it.
    pub const fn is_shared(self) -> bool {
        self.0 & 0o077 != 0
    }
}

/// Whether a holder may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads and writes reach the segment.
    ReadWrite,
    /// Reads show what other processes write. A write stays private to this process and never reaches the segment.
    ReadOnly,
}
