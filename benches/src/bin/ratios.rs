//! Prints a line of JSON for each comparison of ours with the bare system calls.

use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_benches::{
    alternate::{Row, alternate},
    posix, sysv,
};
use shm_posix::Posix;
use shm_sync::{Live, Region};
use shm_sysv::SysV;
use std::{ffi::CString, hint::black_box, num::NonZeroUsize, process, ptr::NonNull};

const KIB4: NonZeroUsize = NonZeroUsize::new(4 << 10).unwrap();
const MIB64: NonZeroUsize = NonZeroUsize::new(64 << 20).unwrap();

fn main() {
    let names = Names::new();
    for rows in [names.create(), names.attach(), names.touch(), names.alive(), copies(), locks()] {
        for row in rows {
            println!("{}", row.to_json());
        }
    }
}

/// Keys of our own, so that two runs do not meet.
struct Names {
    bare_number: i32,
    id: Key,
    name: Key,
    bare_name: CString,
}

impl Names {
    fn new() -> Self {
        let number = 0x6266_0000 | (process::id() & 0xffff) as i32;
        let text = format!("ratios-{}", process::id());
        Self {
            bare_number: number | 0x1000_0000,
            id: Key::id(number as u32).expect("not 0"),
            name: Key::name(&text).expect("a name"),
            bare_name: CString::new(format!("/{text}-bare")).expect("no NUL"),
        }
    }

    fn create(&self) -> Vec<Row> {
        let options = CreateOptions::new(KIB4);
        vec![
            alternate(
                "create+detach, 4 KiB, Rust, System V",
                "the bare calls",
                41,
                500,
                || _ = SysV::new().create(&self.id, &options).expect("create").detach(),
                || {
                    let (id, start) = sysv::create(self.bare_number, KIB4.get());
                    // SAFETY: nobody uses it.
                    unsafe { sysv::detach(start) };
                    sysv::remove(id);
                },
            ),
            alternate(
                "create+detach, 4 KiB, Rust, POSIX",
                "the bare calls, with fallocate",
                41,
                500,
                || _ = Posix::new().create(&self.name, &options).expect("create").detach(),
                || {
                    let start = posix::create(&self.bare_name, KIB4);
                    // SAFETY: nobody uses it.
                    unsafe { posix::detach(start, KIB4) };
                    posix::remove(&self.bare_name);
                },
            ),
        ]
    }

    fn attach(&self) -> Vec<Row> {
        let options = CreateOptions::new(KIB4);
        let _sysv = SysV::new().create(&self.id, &options).expect("create");
        let _posix = Posix::new().create(&self.name, &options).expect("create");
        let (bare, start) = sysv::create(self.bare_number, KIB4.get());
        let bare_start = posix::create(&self.bare_name, KIB4);
        let rows = vec![
            alternate(
                "attach+detach, 4 KiB, Rust, System V",
                "the bare calls",
                41,
                500,
                || _ = SysV::new().attach(&self.id).expect("attach").detach(),
                || {
                    let start = sysv::attach(self.bare_number);
                    // SAFETY: nobody uses it.
                    unsafe { sysv::detach(start) };
                },
            ),
            alternate(
                "attach+detach, 4 KiB, Rust, POSIX",
                "the bare calls",
                41,
                500,
                || _ = Posix::new().attach(&self.name).expect("attach").detach(),
                || {
                    let (start, size) = posix::attach(&self.bare_name);
                    // SAFETY: nobody uses it.
                    unsafe { posix::detach(start, size) };
                },
            ),
        ];
        // SAFETY: nobody uses it any more.
        unsafe { sysv::detach(start) };
        sysv::remove(bare);
        // SAFETY: as above.
        unsafe { posix::detach(bare_start, KIB4) };
        posix::remove(&self.bare_name);
        rows
    }

    fn touch(&self) -> Vec<Row> {
        let options = CreateOptions::new(MIB64);
        vec![alternate(
            "create + touch + destroy, 64 MiB",
            "the bare calls with fallocate",
            11,
            1,
            || {
                let segment = Posix::new().create(&self.name, &options).expect("create");
                touch(segment.as_ptr());
                segment.detach();
            },
            || {
                let start = posix::create(&self.bare_name, MIB64);
                touch(start);
                // SAFETY: nobody uses it any more.
                unsafe { posix::detach(start, MIB64) };
                posix::remove(&self.bare_name);
            },
        )]
    }

    /// The other is ours as well, measured before the many are made: there is no turn to take.
    fn alive(&self) -> Vec<Row> {
        let options = CreateOptions::new(KIB4);
        let mut rows = Vec::new();
        for (label, key, number) in [("System V", &self.id, 0), ("POSIX", &self.name, 1)] {
            let once = || match number {
                0 => _ = SysV::new().create(key, &options).expect("create").detach(),
                _ => _ = Posix::new().create(key, &options).expect("create").detach(),
            };
            for many in [100, 4_000] {
                let one = alternate("", "", 11, 200, once, || {});
                // System V's own limit is 4,096 segments; some may be taken.
                let held_sysv: Vec<_> = (0..many * (1 - number))
                    .map_while(|_| SysV::new().create_anywhere(&options).ok())
                    .collect();
                let held_posix: Vec<_> =
                    (0..many * number).map_while(|_| Posix::new().create_anywhere(&options).ok()).collect();
                let crowd = held_sysv.len() + held_posix.len();
                let crowded = alternate("", "", 11, 200, once, || {});
                rows.push(Row {
                    what: format!("create+detach, 4 KiB, Rust, {label}, with {crowd} alive"),
                    against: "with 1 alive".into(),
                    ours: crowded.ours,
                    other: one.ours,
                    ratio: crowded.ours / one.ours,
                });
            }
        }
        rows
    }
}

fn touch(start: NonNull<u8>) {
    for offset in (0..MIB64.get()).step_by(4096) {
        // SAFETY: the mapping has 64 MiB.
        let page = unsafe { start.add(offset) };
        // SAFETY: as above.
        unsafe { page.write_volatile(1) };
    }
}

fn copies() -> Vec<Row> {
    let mut rows = Vec::new();
    for (label, size, runs) in [
        ("4 KiB", 4 << 10, 20_000),
        ("1 MiB", 1 << 20, 50),
        ("64 MiB", 64 << 20, 1),
        ("256 MiB", 256 << 20, 1),
    ] {
        let source = vec![1_u8; size];
        let mut heap = vec![2_u8; size];
        let options = CreateOptions::new(NonZeroUsize::new(size).expect("not 0"));
        let sysv = SysV::new().create_anywhere(&options).expect("create");
        let posix = Posix::new().create_anywhere(&options).expect("create");
        let heap_to_heap = || black_box(&mut heap[..]).copy_from_slice(black_box(&source));
        let mut heap_to_heap = heap_to_heap;
        for (backend, write) in [
            ("System V", &(|| _ = sysv.write(0, black_box(&source))) as &dyn Fn()),
            ("POSIX", &|| _ = posix.write(0, black_box(&source))),
        ] {
            let what = format!("warm copy, {label}, {backend}");
            rows.push(alternate(&what, "heap to heap", 21, runs, write, &mut heap_to_heap));
        }
    }
    rows
}

fn locks() -> Vec<Row> {
    let options = CreateOptions::new(KIB4);
    let segment = Posix::new().create_anywhere(&options).expect("create");
    let region = Region::of(&segment);
    let live = Live::own().expect("a live file");
    let ours = shm_sync::Mutex::open(region, 0, live).expect("open");
    let theirs = std::sync::Mutex::new(());
    vec![alternate(
        "uncontended lock+unlock, Rust",
        "std::sync::Mutex",
        41,
        200_000,
        || drop(black_box(black_box(&ours).lock().expect("free"))),
        || drop(black_box(black_box(&theirs).lock().expect("free"))),
    )]
}
