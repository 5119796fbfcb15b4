//! What the library promises, shown with real processes.

mod cast;
mod cycles;
mod full;
mod hostile;
mod lifetimes;
mod limits;
mod planted;
mod users;
