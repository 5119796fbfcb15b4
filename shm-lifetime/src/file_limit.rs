//! The limit on the size of the files that this process makes.

use crate::wide;
use nix::sys::resource::{Resource, getrlimit};

/// Whether a file of `size` bytes is beyond it. To ask before such a file is made larger: getrlimit(2), "attempts to
/// extend a file beyond this limit result in delivery of a SIGXFSZ signal. By default, this signal terminates a
/// process".
pub fn is_beyond_file_limit(size: u64) -> bool {
    getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| size > wide(soft))
}
