//! First touch of a segment, small pages and huge ones, and warm copies into it, beside the heap.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shm_api::{Backend, CreateOptions, Segment};
use std::num::NonZeroUsize;

const SIZES: [(&str, usize); 4] =
    [("4 KiB", 4 << 10), ("1 MiB", 1 << 20), ("64 MiB", 64 << 20), ("256 MiB", 256 << 20)];

fn copy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("copy");
    for (label, size) in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let source = vec![1_u8; size];
        let mut heap = vec![2_u8; size];
        group.bench_function(BenchmarkId::new("heap", label), |bencher| {
            bencher
                .iter(|| std::hint::black_box(&mut heap[..]).copy_from_slice(std::hint::black_box(&source)));
        });
        let options = CreateOptions::new(NonZeroUsize::new(size).unwrap());
        let sysv = shm_sysv::SysV::new().create_anywhere(&options).unwrap();
        sysv.write(0, &source);
        group.bench_function(BenchmarkId::new("sysv", label), |bencher| {
            bencher.iter(|| sysv.write(0, std::hint::black_box(&source)));
        });
        let posix = shm_posix::Posix::new().create_anywhere(&options).unwrap();
        posix.write(0, &source);
        group.bench_function(BenchmarkId::new("posix", label), |bencher| {
            bencher.iter(|| posix.write(0, std::hint::black_box(&source)));
        });
    }
    group.finish();
}

fn first_touch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("create, touch, detach");
    group.sample_size(10);
    for (label, size) in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let zeros = vec![0_u8; size];
        group.bench_function(BenchmarkId::new("heap", label), |bencher| {
            bencher.iter(|| std::hint::black_box(vec![1_u8; size]));
        });
        let options = CreateOptions::new(NonZeroUsize::new(size).unwrap());
        // Where the mount does not allow huge pages, this is the same as without.
        for (pages, options) in [("small pages", options.clone()), ("huge pages", options.huge_pages(true))] {
            group.bench_function(BenchmarkId::new(format!("sysv, {pages}"), label), |bencher| {
                bencher.iter(|| shm_sysv::SysV::new().create_anywhere(&options).unwrap().write(0, &zeros));
            });
            group.bench_function(BenchmarkId::new(format!("posix, {pages}"), label), |bencher| {
                bencher.iter(|| shm_posix::Posix::new().create_anywhere(&options).unwrap().write(0, &zeros));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, first_touch, copy);
criterion_main!(benches);
