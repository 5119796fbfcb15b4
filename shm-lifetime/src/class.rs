//! The class of users who may open a segment, and so who may use the lock and live files for it.

/// The access class of a segment. Each class has its own lock file and live file in the owner's folder. So users who
/// may not open a segment cannot disturb its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Its owner.
    Owner,
    /// Its owner and one group.
    Group(u32),
    /// Everybody.
    Everybody,
}

impl Class {
    /// The users who may open a segment of this mode and group, for reading or for writing.
    pub const fn of(mode: u32, gid: u32) -> Self {
        match (mode & 0o007, mode & 0o070) {
            (0, 0) => Self::Owner,
            (0, _) => Self::Group(gid),
            _ => Self::Everybody,
        }
    }

    /// The users who may write to it.
    pub const fn of_writers(mode: u32, gid: u32) -> Self {
        Self::of(mode & 0o222, gid)
    }

    /// The name of the file of this class, for a kind of file.
    pub fn file_name(self, kind: &str) -> String {
        match self {
            Self::Owner => kind.to_owned(),
            Self::Group(gid) => format!("{kind}.group-{gid}"),
            Self::Everybody => format!("{kind}.all"),
        }
    }

    /// The mode of its files.
    pub(crate) const fn mode(self) -> libc::mode_t {
        match self {
            Self::Owner => 0o600,
            Self::Group(_) => 0o660,
            Self::Everybody => 0o666,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_do_not_count_as_writers() {
        let classes = |mode| (Class::of(mode, 7), Class::of_writers(mode, 7));
        assert_eq!(classes(0o600), (Class::Owner, Class::Owner));
        assert_eq!(classes(0o640), (Class::Group(7), Class::Owner));
        assert_eq!(classes(0o660), (Class::Group(7), Class::Group(7)));
        assert_eq!(classes(0o664), (Class::Everybody, Class::Group(7)));
        assert_eq!(classes(0o604), (Class::Everybody, Class::Owner));
        assert_eq!(classes(0o666), (Class::Everybody, Class::Everybody));
    }
}
