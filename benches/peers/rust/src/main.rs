//! Prints a line of JSON for each comparison with the crate `shared_memory`, which is POSIX.

use shared_memory::ShmemConf;
use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_benches::alternate::alternate;
use shm_posix::Posix;
use std::{num::NonZeroUsize, process};

fn main() {
    let sizes = [("4 KiB", 4 << 10, 300), ("1 MiB", 1 << 20, 20), ("64 MiB", 64 << 20, 1)];
    let ours = Key::name(&format!("peers-{}", process::id())).expect("a name");
    let theirs = format!("/peers-{}-other", process::id());
    let against = "the crate shared_memory 0.12.4";
    for (label, size, runs) in sizes {
        // It reserves nothing, so neither do we here.
        let options = CreateOptions::new(NonZeroUsize::new(size).expect("not 0")).reserve(false);
        let conf = || ShmemConf::new().os_id(&theirs).size(size);
        let row = alternate(
            &format!("create+detach, {label}, Rust, POSIX, unreserved"),
            against,
            21,
            runs,
            || _ = Posix::new().create(&ours, &options).expect("create").detach(),
            || drop(conf().create().expect("create")),
        );
        println!("{}", row.to_json());

        let _ours = Posix::new().create(&ours, &options).expect("create");
        let _theirs = conf().create().expect("create");
        let row = alternate(
            &format!("attach+detach, {label}, Rust, POSIX"),
            against,
            21,
            runs.max(20),
            || _ = Posix::new().attach(&ours).expect("attach").detach(),
            || drop(ShmemConf::new().os_id(&theirs).open().expect("open")),
        );
        println!("{}", row.to_json());
    }
}
