//! create+detach and attach+detach, beside the bare calls.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use shm_api::{Backend, CreateOptions, Key, Segment};
use shm_benches::{posix, sysv};
use shm_posix::Posix;
use shm_sysv::SysV;
use std::{ffi::CString, num::NonZeroUsize, process};

const SIZES: [(&str, usize); 3] = [("4 KiB", 4 << 10), ("1 MiB", 1 << 20), ("64 MiB", 64 << 20)];

fn private_key() -> u32 {
    0x6265_0000 | process::id() & 0xffff
}

fn private_name() -> String {
    format!("bench-{}", process::id())
}

fn create_detach(criterion: &mut Criterion) {
    let (id, name) = (Key::id(private_key()).unwrap(), Key::name(&private_name()).unwrap());
    let c_name = CString::new(format!("/{}", private_name())).unwrap();
    for (backend, group) in [("sysv", "create+detach sysv"), ("posix", "create+detach posix")] {
        let mut group = criterion.benchmark_group(group);
        for (label, size) in SIZES {
            let size = NonZeroUsize::new(size).unwrap();
            let options = CreateOptions::new(size);
            group.bench_function(BenchmarkId::new("bare", label), |bencher| {
                bencher.iter(|| match backend {
                    "sysv" => {
                        let (id, start) = sysv::create(private_key() as i32, size.get());
                        // SAFETY: nobody uses it.
                        unsafe { sysv::detach(start) };
                        sysv::remove(id);
                    }
                    _ => {
                        let start = posix::create(&c_name, size);
                        // SAFETY: nobody uses it.
                        unsafe { posix::detach(start, size) };
                        posix::remove(&c_name);
                    }
                });
            });
            group.bench_function(BenchmarkId::new("shm", label), |bencher| {
                bencher.iter(|| match backend {
                    "sysv" => SysV::new().create(&id, &options).unwrap().detach(),
                    _ => Posix::new().create(&name, &options).unwrap().detach(),
                });
            });
        }
        group.finish();
    }
}

fn attach_detach(criterion: &mut Criterion) {
    let (id, name) = (Key::id(private_key()).unwrap(), Key::name(&private_name()).unwrap());
    let c_name = CString::new(format!("/{}", private_name())).unwrap();
    for (label, size) in SIZES {
        let options = CreateOptions::new(NonZeroUsize::new(size).unwrap());
        let _sysv = SysV::new().create(&id, &options).unwrap();
        let _posix = Posix::new().create(&name, &options).unwrap();

        let mut group = criterion.benchmark_group("attach+detach sysv");
        group.bench_function(BenchmarkId::new("bare", label), |bencher| {
            bencher.iter(|| {
                let start = sysv::attach(private_key() as i32);
                // SAFETY: nobody uses it.
                unsafe { sysv::detach(start) };
            });
        });
        group.bench_function(BenchmarkId::new("shm", label), |bencher| {
            bencher.iter(|| SysV::new().attach(&id).unwrap().detach());
        });
        group.finish();

        let mut group = criterion.benchmark_group("attach+detach posix");
        group.bench_function(BenchmarkId::new("bare", label), |bencher| {
            bencher.iter(|| {
                let (start, size) = posix::attach(&c_name);
                // SAFETY: nobody uses it.
                unsafe { posix::detach(start, size) };
            });
        });
        group.bench_function(BenchmarkId::new("shm", label), |bencher| {
            bencher.iter(|| Posix::new().attach(&name).unwrap().detach());
        });
        group.finish();
    }
}

/// How the cost of one grows with the segments that are alive.
fn alive(criterion: &mut Criterion) {
    let options = CreateOptions::new(NonZeroUsize::new(4096).unwrap());
    let mut group = criterion.benchmark_group("create+detach, 4 KiB, with others alive");
    for others in [1, 100, 4_000] {
        // The system may not have room for all of them: 4,096 is its limit for System V.
        let held: Vec<_> = (0..others).map_while(|_| SysV::new().create_anywhere(&options).ok()).collect();
        group.bench_function(BenchmarkId::new("sysv", held.len()), |bencher| {
            bencher.iter(|| SysV::new().create_anywhere(&options).unwrap().detach());
        });
        drop(held);
        let held: Vec<_> = (0..others).map_while(|_| Posix::new().create_anywhere(&options).ok()).collect();
        group.bench_function(BenchmarkId::new("posix", held.len()), |bencher| {
            bencher.iter(|| Posix::new().create_anywhere(&options).unwrap().detach());
        });
    }
    group.finish();
}

criterion_group!(benches, create_detach, attach_detach, alive);
criterion_main!(benches);
