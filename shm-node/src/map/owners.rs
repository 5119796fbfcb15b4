//! Who has a map open, and whether they live.

use super::opened;
use crate::{
    failure::Failure,
    sync::{call::Call, table::Table},
};
use shm_sync::Owner;

/// `mapOwner(map)`: this environment's id there.
pub(super) fn owner(table: &mut Table, call: &Call<1>) -> Result<u32, Failure> {
    Ok(opened(&mut table.objects, call)?.map.owner()?.get())
}

/// `mapIsAlive(map, owner)`: whether the one with that id lives.
pub(super) fn is_alive(table: &mut Table, call: &Call<2>) -> Result<bool, Failure> {
    let owner = Owner::from_word(call.unsigned(1));
    Ok(opened(&mut table.objects, call)?.map.is_alive(owner))
}
