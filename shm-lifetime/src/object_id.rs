//! Which object a name stood for.

/// What distinguishes an object from all others that have had its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectId {
    /// System V: the `shmid`. POSIX: the inode, or on macOS, which has none, when the entry was made.
    pub number: u64,
    /// POSIX on Linux: when the object was made, in nanoseconds since 1970, as its file system tells. File systems
    /// give the inode of an object that is gone to the next one. 0 is unknown.
    pub born: u64,
}

impl ObjectId {
    /// Whether both stand for the same object, as far as both are known.
    pub const fn matches(self, other: Self) -> bool {
        let both_tell = self.born != 0 && other.born != 0;
        self.number == other.number && (self.born == other.born || !both_tell)
    }
}

/// For objects that the number alone identifies.
impl From<u64> for ObjectId {
    fn from(number: u64) -> Self {
        Self { number, born: 0 }
    }
}
