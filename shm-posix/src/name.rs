//! From keys to object names and back.

use crate::object::LONGEST_NAME;
use shm_api::{InvalidKey, Key};
use shm_lifetime::{EntryName, Home};

/// The name that a key stands for, without its slash.
pub(crate) fn of_key(key: &Key) -> Result<EntryName, InvalidKey> {
    match key {
        Key::Name(name) if name.as_str().len() > LONGEST_NAME => {
            return Err(InvalidKey::TooLong { key: key.clone(), most: LONGEST_NAME });
        }
        Key::Name(name) if name.bare().starts_with(Home::PREFIX) => {
            return Err(InvalidKey::Reserved { key: key.clone() });
        }
        _ => {}
    }
    Ok(EntryName::from_bare(&key.object_name()).expect("a Name is short enough and has no NUL"))
}

/// The key of an object as listings show it; `None` for a file that is no key of ours.
pub(crate) fn to_key(bare: &str) -> Option<Key> {
    if bare.starts_with(Home::PREFIX) { None } else { Key::of_object_name(bare) }
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
    }

    #[test]
    fn the_librarys_own_folder_is_not_a_key() {
        assert!(of_key(&Key::name(".shm-node-0").unwrap()).is_err());
        assert_eq!(to_key(".shm-node-0"), None);
    }
}
