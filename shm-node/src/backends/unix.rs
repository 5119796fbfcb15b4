//! What the backends of Unix have in common.

pub(crate) use crate::mappings::check as check_mappings;
pub(crate) use shm_lifetime::{AddressRange, orphans_may_hold, shrink::survive, within_a_second};
