//! The kernel's number for a key.

use crate::NAME;
use shm_api::{InvalidKey, Key};
use std::num::NonZeroU32;

pub(crate) fn of_key(key: &Key) -> Result<NonZeroU32, InvalidKey> {
    match key {
        Key::Id(number) => Ok(*number),
        Key::Name(_) => Err(InvalidKey::NotAnInteger { backend: NAME, key: key.clone() }),
    }
}
