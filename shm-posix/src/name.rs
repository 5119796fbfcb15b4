//! From keys to object names and back.

use crate::object::LONGEST_NAME;
use shm_api::{InvalidKey, Key};
use shm_lifetime::{EntryName, Home};
use std::num::NonZeroU32;

/// How the name of an integer key begins.
const PREFIX: &str = "shm-node-";

/// The name that a key stands for, without its slash.
pub(crate) fn of_key(key: &Key) -> Result<EntryName, InvalidKey> {
    let name = match key {
        Key::Id(id) => EntryName::from_bare(&format!("{PREFIX}{id:08x}")),
        Key::Name(name) if name.as_str().len() > LONGEST_NAME => {
            return Err(InvalidKey::TooLong { key: key.clone(), most: LONGEST_NAME });
        }
        Key::Name(name) if name.bare().starts_with(Home::PREFIX) => {
            return Err(InvalidKey::Reserved { key: key.clone() });
        }
        Key::Name(name) => EntryName::from_bare(name.bare()),
    };
    Ok(name.expect("a Name is short enough and has no NUL"))
}

/// The key of an object as listings show it; `None` for a file that is no key of ours.
pub(crate) fn to_key(bare: &str) -> Option<Key> {
    if bare.starts_with(Home::PREFIX) {
        return None;
    }
    let id =
        bare.strip_prefix(PREFIX).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(NonZeroU32::new);
    match id {
        // Only as we write it: eight digits, lower case.
        Some(id) if bare == format!("{PREFIX}{id:08x}") => Some(Key::Id(id)),
        _ => Key::name(bare).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_key_has_a_name_and_the_name_is_that_key() {
        let key = Key::id(0xbeef).unwrap();
        let name = of_key(&key).unwrap();
        assert_eq!(name.as_c_str().to_str(), Ok("shm-node-0000beef"));
        assert_eq!(to_key("shm-node-0000beef"), Some(key));
        assert_eq!(to_key("shm-node-beef"), Key::name("shm-node-beef").ok());
        assert_eq!(to_key("shm-node-0000BEEF"), Key::name("shm-node-0000BEEF").ok());
        assert_eq!(to_key("shm-node-00000000"), Key::name("shm-node-00000000").ok());
    }

    #[test]
    fn the_librarys_own_folder_is_no_key() {
        assert!(of_key(&Key::name(".shm-node-0").unwrap()).is_err());
        assert_eq!(to_key(".shm-node-0"), None);
    }
}
