//! From keys to the names of objects and back.

use shm_api::{InvalidKey, Key};
use shm_lifetime::named::wide;

/// How the names begin that the library keeps for itself.
const OURS: &str = ".shm-node-";
const COMPANION: &str = ".shm-node-key-";
const LOCK: &str = ".shm-node-lock-";

/// The most bytes of a name, its slash counted, so that each name of ours is shorter than `MAX_PATH`.
const LONGEST: usize = 230;

/// A name as calls take it: UTF-16, with a NUL at its end.
pub(crate) type Wide = Vec<u16>;

/// The name that a key stands for, in the namespace of the session.
#[derive(Clone, Debug)]
pub(crate) struct ObjectName(String);

impl ObjectName {
    pub(crate) fn of_key(key: &Key) -> Result<Self, InvalidKey> {
        if let Key::Name(name) = key {
            if name.as_str().len() > LONGEST {
                return Err(InvalidKey::TooLong { key: key.clone(), most: LONGEST });
            }
            if name.bare().starts_with(OURS) {
                return Err(InvalidKey::Reserved { key: key.clone() });
            }
            if name.bare().contains('\\') {
                return Err(InvalidKey::Backslash { key: key.clone() });
            }
        }
        Ok(Self(key.object_name().into_owned()))
    }

    /// The section itself.
    pub(crate) fn section(&self) -> Wide {
        wide(&self.0)
    }

    /// A section of this key while processes hold one under the plain name that was destroyed.
    pub(crate) fn later_section(&self, number: u32) -> Wide {
        wide(&format!("{OURS}{number}-{}", self.0))
    }

    /// The section that describes it.
    pub(crate) fn companion(&self) -> Wide {
        wide(&format!("{COMPANION}{}", self.0))
    }

    /// The mutex.
    pub(crate) fn lock(&self) -> Wide {
        wide(&format!("{LOCK}{}", self.0))
    }
}

/// The key whose companion has that name.
pub(crate) fn key_of_companion(name: &str) -> Option<Key> {
    Key::of_object_name(name.strip_prefix(COMPANION)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_companion_of_a_key_leads_back_to_it() {
        for key in [Key::id(0xbeef).unwrap(), Key::name("frames").unwrap(), Key::name("ünï").unwrap()] {
            let companion = ObjectName::of_key(&key).unwrap().companion();
            let name = String::from_utf16(&companion[..companion.len() - 1]).unwrap();
            assert_eq!(key_of_companion(&name), Some(key));
        }
        assert_eq!(key_of_companion("frames"), None);
    }

    #[test]
    fn names_that_windows_or_the_library_reserves_are_not_keys() {
        let key = |name: &str| ObjectName::of_key(&Key::name(name).unwrap());
        assert!(matches!(key("Global\\x"), Err(InvalidKey::Backslash { .. })));
        assert!(matches!(key(".shm-node-key-x"), Err(InvalidKey::Reserved { .. })));
        assert!(key(&"x".repeat(229)).is_ok());
        assert!(matches!(key(&"x".repeat(230)), Err(InvalidKey::TooLong { most: 230, .. })));
    }
}
