//! A process that touches what is cut off from its memory. Commands:
//!
//! ```text
//! survive                       previous exit|plain|ignore|once|default       later
//! create NAME SIZE [unreserved] attach NAME      attach-read-only NAME
//! size NAME SIZE                read OFFSET      write OFFSET VALUE      shrunk      detach
//! core FOLDER                   send             foreign          forged CODE
//! use-up-mappings
//! structures                    storm COUNT
//! ```
//!
//! `previous` installs a handler of SIGBUS that ends the process by exit(2), code 41 with the fault's address and 42
//! without; ignores the signal; or returns, once. `later` installs one that counts and calls the one before it. `size`
//! changes the size of an object as any peer may. `send` sends SIGBUS, `foreign` shrinks a file of another library's
//! and touches it; `forged` sends it with a code, and with an address in what is attached. `use-up-mappings` leaves
//! room for one more. `structures` tells of each structure which calls gave what after a shrink.

use libc::{c_int, c_void, siginfo_t};
use nix::errno::Errno;
use shm_api::{Access, AttachReadOnly, Backend, CreateOptions, Key, Segment};
use shm_posix::{Posix, PosixSegment, survive_shrinking};
use shm_sync::{
    Barrier, Broadcast, BroadcastOptions, Channel, ChannelOptions, Condition, Live, Mutex, Once, Producers,
    Region, RwLock, Semaphore, Sender, SyncError,
};
use shm_tests::stage::{Answer, refusal, serve};
use std::{
    fs::File,
    hint::black_box,
    mem::{self, MaybeUninit},
    num::NonZeroUsize,
    os::fd::AsRawFd,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::Duration,
};

fn main() {
    let mut held: Option<PosixSegment> = None;
    serve(|words| {
        Some(match *words {
            ["survive"] => {
                survive_shrinking().map(|()| String::new()).map_err(|error| refusal("OsError", error))
            }
            ["previous", kind] => previous(kind),
            ["later"] => Ok(later()),
            ["create", name, size] => hold(&mut held, create(name, number(size), true)),
            ["create", name, size, "unreserved"] => hold(&mut held, create(name, number(size), false)),
            ["attach", name] => hold(
                &mut held,
                Posix::new().attach(&key(name)).map_err(|error| refusal("AttachError", error)),
            ),
            ["attach-read-only", name] => {
                let attached = Posix::new().attach_read_only(&key(name));
                hold(&mut held, attached.map_err(|error| refusal("AttachError", error)))
            }
            ["size", name, size] => resize(name, number(size)).map(|()| String::new()),
            ["read", offset] => Ok(read(held.as_ref()?, number(offset)).to_string()),
            ["write", offset, value] => {
                let written = held.as_ref()?.write(number(offset), &[value.parse().ok()?]);
                Ok(written.to_string())
            }
            ["shrunk"] => Ok(held.as_ref()?.is_shrunk().to_string()),
            ["detach"] => Ok(format!("{:?}", held.take()?.detach())),
            ["core", folder] => core(folder),
            ["send"] => Ok(send()),
            #[cfg(target_os = "linux")]
            ["forged", code] => {
                forge(held.as_ref()?, code.parse().ok()?);
                Ok("lived".into())
            }
            ["use-up-mappings"] => Ok(use_up_mappings().to_string()),
            ["foreign"] => Ok(foreign().to_string()),
            ["structures"] => Ok(structures()),
            ["storm", count] => Ok(storm(number(count))),
            _ => return None,
        })
    });
}

fn number(digits: &str) -> usize {
    digits.parse().unwrap_or_else(|error| panic!("{digits}: {error}"))
}

fn key(name: &str) -> Key {
    Key::name(name).expect("the test's names are names")
}

fn hold(held: &mut Option<PosixSegment>, made: Result<PosixSegment, String>) -> Answer {
    let segment = made?;
    let size = segment.size().to_string();
    *held = Some(segment);
    Ok(size)
}

fn create(name: &str, size: usize, reserve: bool) -> Result<PosixSegment, String> {
    let options =
        CreateOptions::new(NonZeroUsize::new(size).expect("the test asks for some")).reserve(reserve);
    Posix::new().create(&key(name), &options).map_err(|error| refusal("CreateError", error))
}

fn resize(name: &str, size: usize) -> Result<(), String> {
    let file = File::options().write(true).open(format!("/dev/shm{name}"));
    let resized = file.and_then(|file| file.set_len(size as u64));
    resized.map_err(|error| refusal("io", error))
}

fn read(segment: &PosixSegment, offset: usize) -> u8 {
    let mut byte = [0xee];
    segment.read(offset, &mut byte);
    byte[0]
}

fn core(folder: &str) -> Answer {
    let all = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it only reads the limit.
    let limited = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const all) };
    std::env::set_current_dir(folder).map_err(|error| refusal("io", error))?;
    if limited == 0 { Ok(String::new()) } else { Err(refusal("setrlimit", Errno::last())) }
}

fn send() -> String {
    // SAFETY: raise takes an integer.
    unsafe { libc::raise(libc::SIGBUS) };
    "lived".into()
}

/// A siginfo_t of a fault, up to its address.
#[cfg(target_os = "linux")]
#[repr(C)]
struct Fault {
    signal: c_int,
    errno: c_int,
    code: c_int,
    address: usize,
    rest: [u64; 16],
}

#[cfg(target_os = "linux")]
fn forge(segment: &PosixSegment, code: c_int) {
    let address = segment.as_ptr().addr().get();
    let fault = Fault { signal: libc::SIGBUS, errno: 0, code, address, rest: [0; 16] };
    let process = std::process::id();
    // SAFETY: it takes none.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    // SAFETY: the kernel reads a siginfo_t, which is shorter than ours.
    let sent = unsafe {
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, libc::SIGBUS, &raw const fault)
    };
    assert_eq!(sent, 0);
}

/// Maps single pages until the system refuses, and gives the last one back: then one can be replaced, but not be cut in
/// three. How many.
fn use_up_mappings() -> usize {
    let (mut count, mut last) = (0, ptr::null_mut());
    loop {
        // Neighbours of another protection are not joined.
        let protection = if count % 2 == 0 { libc::PROT_READ } else { libc::PROT_NONE };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, which nobody uses.
        let mapped = unsafe { libc::mmap(ptr::null_mut(), 4096, protection, flags, -1, 0) };
        if mapped == libc::MAP_FAILED {
            // SAFETY: mapped below, and not used.
            unsafe { libc::munmap(last, 4096) };
            return count;
        }
        (count, last) = (count + 1, mapped);
    }
}

/// Maps a file of its own, shrinks it, and touches it.
fn foreign() -> u8 {
    let path = std::env::temp_dir().join(format!("shm-foreign-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).expect("the name is ours");
    std::fs::remove_file(&path).expect("just made");
    file.set_len(4096).expect("there is room");
    // SAFETY: a new mapping, which nobody else knows.
    let start =
        unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    file.set_len(0).expect("it is ours");
    // SAFETY: mapped, so that it is SIGBUS at worst, which is what this is for.
    unsafe { start.cast::<u8>().read_volatile() }
}

extern "C" fn exits(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel's, or what a handler before passed on.
    let fault = unsafe { &*info };
    // SAFETY: of SIGBUS, as the only signal that it is installed for.
    let address = unsafe { fault.si_addr() };
    // SAFETY: signal-safety(7) lists it.
    unsafe { libc::_exit(if address.is_null() { 40 } else { 41 }) }
}

extern "C" fn plain(_signal: c_int) {
    // SAFETY: signal-safety(7) lists it.
    unsafe { libc::_exit(42) }
}

extern "C" fn returns(_signal: c_int) {}

fn install(handler: usize, flags: c_int) -> libc::sigaction {
    let mut old = MaybeUninit::uninit();
    // SAFETY: a sigaction is plain numbers, and zero is a value for each.
    let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sa_sigaction = handler;
    new.sa_flags = flags;
    // SAFETY: the handler is one of those above, and the old action is ours to write.
    let result = unsafe { libc::sigaction(libc::SIGBUS, &raw const new, old.as_mut_ptr()) };
    assert_eq!(result, 0);
    // SAFETY: written, as it succeeded.
    unsafe { old.assume_init() }
}

fn previous(kind: &str) -> Answer {
    let (handler, flags) = match kind {
        "exit" => (exits as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO),
        "plain" => (plain as extern "C" fn(_) as usize, 0),
        "once" => (returns as extern "C" fn(_) as usize, libc::SA_RESETHAND),
        "ignore" => (libc::SIG_IGN, 0),
        "default" => (libc::SIG_DFL, 0),
        _ => return Err(refusal("kind", kind)),
    };
    install(handler, flags);
    Ok(String::new())
}

static BEHIND: AtomicUsize = AtomicUsize::new(0);
static CALLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn chains(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    CALLED.fetch_add(1, SeqCst);
    // SAFETY: `later` noted a handler of these three.
    let call: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
        unsafe { mem::transmute(BEHIND.load(SeqCst)) };
    call(signal, info, context);
}

fn later() -> String {
    let behind = install(chains as extern "C" fn(_, _, _) as usize, libc::SA_SIGINFO);
    BEHIND.store(behind.sa_sigaction, SeqCst);
    CALLED.load(SeqCst).to_string()
}

/// Makes each structure in a segment of its own, shrinks that, and calls it: which calls did not give `Shrunk`.
fn structures() -> String {
    let mut wrong = Vec::new();
    for (index, (name, open)) in CALLS.iter().enumerate() {
        let object = format!("/structures-{}-{index}", std::process::id());
        let segment = create(&object, 1 << 16, true).expect("there is room");
        let region = Region::of(&segment);
        let live = Live::own().expect("there is a folder");
        for (call, result) in open(region, live, &|| resize(&object, 0).expect("it is ours")) {
            if result != Err(SyncError::Shrunk) {
                wrong.push(format!("{name}.{call}: {result:?}"));
            }
        }
        assert!(segment.is_shrunk(), "{name}");
    }
    if wrong.is_empty() { format!("none of {}", CALLS.len()) } else { wrong.join(", ") }
}

type Results = Vec<(&'static str, Result<(), SyncError>)>;
type Open = fn(Region<'_>, &'static Live, &dyn Fn()) -> Results;

fn nothing<T>(result: Result<T, SyncError>) -> Result<(), SyncError> {
    result.map(drop)
}

/// What is opened, with one call that finds the shrink, and then the others.
const CALLS: &[(&str, Open)] = &[
    ("Mutex", |region, live, shrink| {
        let mutex = Mutex::open(region, 0, live).unwrap();
        shrink();
        vec![
            ("lock", nothing(mutex.lock())),
            ("try_lock", nothing(mutex.try_lock())),
            ("lock_timeout", nothing(mutex.lock_timeout(Duration::ZERO))),
            ("unlock", mutex.unlock()),
            ("step", nothing(mutex.locking(live.this_thread().unwrap()).step())),
            ("open", nothing(Mutex::open(region, 0, live))),
        ]
    }),
    ("Mutex, held", |region, live, shrink| {
        let mutex = Mutex::open(region, 0, live).unwrap();
        mutex.lock().unwrap().keep();
        shrink();
        vec![("unlock", mutex.unlock()), ("try_lock", nothing(mutex.try_lock()))]
    }),
    ("Semaphore", |region, live, shrink| {
        let semaphore = Semaphore::open(region, 0, 2, live).unwrap();
        let slot = semaphore.acquire().unwrap().keep();
        shrink();
        vec![
            ("release", semaphore.release(slot)),
            ("acquire", nothing(semaphore.acquire())),
            ("try_acquire", nothing(semaphore.try_acquire())),
            ("acquire_timeout", nothing(semaphore.acquire_timeout(Duration::ZERO))),
            ("open", nothing(Semaphore::open(region, 0, 2, live))),
        ]
    }),
    ("RwLock", |region, live, shrink| {
        let lock = RwLock::open(region, 0, 2, live).unwrap();
        let slot = lock.read().unwrap().keep();
        shrink();
        vec![
            ("read", nothing(lock.read())),
            ("end_read", lock.end_read(slot)),
            ("try_read", nothing(lock.try_read())),
            ("read_timeout", nothing(lock.read_timeout(Duration::ZERO))),
            ("write", nothing(lock.write())),
            ("try_write", nothing(lock.try_write())),
            ("write_timeout", nothing(lock.write_timeout(Duration::ZERO))),
            ("end_write", lock.end_write()),
        ]
    }),
    ("Condition", |region, live, shrink| {
        let (mutex, condition) =
            (Mutex::open(region, 0, live).unwrap(), Condition::open(region, 16, live).unwrap());
        let guard = mutex.lock().unwrap();
        shrink();
        vec![
            ("wait", nothing(condition.wait_timeout(guard, Duration::from_millis(1)))),
            ("open", nothing(Condition::open(region, 16, live))),
        ]
    }),
    ("Condition, with its mutex in another segment", |region, live, shrink| {
        let words = NonNull::from(Box::leak(Box::new([0u64; 2]))).cast();
        // SAFETY: it stays to the end, and nobody else has it.
        let elsewhere = unsafe { Region::from_raw(words, 16, Access::ReadWrite) };
        let condition = Condition::open(elsewhere, 0, live).unwrap();
        let mut waiting = condition.waiting(Mutex::open(region, 0, live).unwrap().lock().unwrap()).unwrap();
        shrink();
        condition.notify_all();
        let step = nothing(waiting.step());
        // Its word may be shared still: what was cut off may be another part.
        let is_free = region.cell(8).unwrap().load(SeqCst) == 0;
        vec![("step", step), ("unlock", if is_free { Err(SyncError::Shrunk) } else { Ok(()) })]
    }),
    ("Barrier", |region, live, shrink| {
        let barrier = Barrier::open(region, 0, 2, live).unwrap();
        let mut party = barrier.join().unwrap();
        shrink();
        vec![
            ("wait", nothing(party.wait_timeout(Duration::from_secs(60)))),
            ("join", nothing(barrier.join())),
            ("arrive", nothing(party.arrive())),
        ]
    }),
    ("Barrier, arriving", |region, live, shrink| {
        let barrier = Barrier::open(region, 0, 2, live).unwrap();
        let mut party = barrier.join().unwrap();
        shrink();
        vec![("arrive", nothing(party.arrive()))]
    }),
    ("Once", |region, live, shrink| {
        let once = Once::open(region, 0, live).unwrap();
        shrink();
        vec![("call", once.call(|_| {})), ("begin", nothing(once.begin()))]
    }),
    ("Channel", |region, live, shrink| channel(region, live, shrink, Producers::One)),
    ("Channel of many", |region, live, shrink| channel(region, live, shrink, Producers::Many)),
    ("Channel, waiting", |region, live, shrink| {
        let options = ChannelOptions { capacity: 1 << 12, producers: Producers::One };
        let mut receiver = Channel::open(region, 0, &options, live).unwrap().receiver().unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(move || receiver.receive(&mut Vec::new()));
            thread::sleep(Duration::from_millis(15));
            shrink();
            vec![("receive", waits.join().unwrap())]
        })
    }),
    ("Channel, full", |region, live, shrink| {
        let mut sender = full(region, live, Producers::One);
        thread::scope(|scope| {
            let waits = scope.spawn(move || sender.send(&[0; 1000]));
            thread::sleep(Duration::from_millis(15));
            shrink();
            vec![("send", waits.join().unwrap())]
        })
    }),
    ("Channel, reserving", |region, live, shrink| {
        let mut sender = full(region, live, Producers::One);
        shrink();
        vec![("reserve", nothing(sender.reserve(1000))), ("try_reserve", nothing(sender.try_reserve(1000)))]
    }),
    ("Channel, trying to reserve", |region, live, shrink| {
        let mut sender = full(region, live, Producers::One);
        shrink();
        vec![("try_reserve", nothing(sender.try_reserve(1000)))]
    }),
    ("Channel of many, reserving", |region, live, shrink| {
        let mut sender = full(region, live, Producers::Many);
        shrink();
        vec![("reserve", nothing(sender.reserve(1000)))]
    }),
    ("Broadcast", |region, live, shrink| {
        let options = BroadcastOptions { slots: 4, max_message: 64 };
        let broadcast = Broadcast::open(region, 0, &options, live).unwrap();
        let (mut producer, mut reader) = (broadcast.producer(live).unwrap(), broadcast.reader().unwrap());
        producer.send(b"one").unwrap();
        shrink();
        vec![
            ("try_receive", nothing(reader.try_receive(&mut Vec::new()))),
            ("send", nothing(producer.send(b"x"))),
            ("receive", nothing(reader.receive(&mut Vec::new()))),
            ("rewind", reader.rewind()),
            ("attach", nothing(Broadcast::attach(region, 0))),
        ]
    }),
];

/// The sender of a channel that has no more room.
fn full<'a>(region: Region<'a>, live: &'static Live, producers: Producers) -> Sender<'a> {
    let options = ChannelOptions { capacity: 1 << 12, producers };
    let mut sender = Channel::open(region, 0, &options, live).unwrap().sender().unwrap();
    while sender.try_send(&[0; 1000]).unwrap() {}
    sender
}

fn channel(region: Region<'_>, live: &'static Live, shrink: &dyn Fn(), producers: Producers) -> Results {
    let options = ChannelOptions { capacity: 1 << 12, producers };
    let channel = Channel::open(region, 0, &options, live).unwrap();
    let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    sender.send(b"one").unwrap();
    shrink();
    vec![
        ("send", sender.send(b"x")),
        ("try_send", nothing(sender.try_send(b"x"))),
        ("try_receive", nothing(receiver.try_receive(&mut Vec::new()))),
        ("receive", receiver.receive(&mut Vec::new())),
        ("try_peek", nothing(receiver.try_peek())),
        ("send_timeout", nothing(sender.send_timeout(b"x", Duration::ZERO))),
        ("attach", nothing(Channel::attach(region, 0, live))),
    ]
}

/// Threads that attach, touch and detach, and others that let go in place, while the object changes its size; and
/// threads that map and unmap memory of their own, which must stay as it is.
fn storm(count: usize) -> String {
    const SIZE: usize = 1 << 16;
    let object = format!("/storm-{}", std::process::id());
    let keeper = create(&object, SIZE, true).expect("there is room");
    let (stop, shrunk) = (AtomicBool::new(false), AtomicUsize::new(0));
    let touch = |seed: usize| {
        let mut random = seed;
        let mut next = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        while !stop.load(Relaxed) {
            let Ok(segment) = Posix::new().attach(&key(&object)) else { continue };
            for _ in 0..next(40) {
                black_box(read(&segment, next(SIZE)));
                segment.write(next(SIZE), &[1; 100]);
            }
            shrunk.fetch_add(usize::from(segment.is_shrunk()), Relaxed);
            if next(2) == 0 {
                segment.detach();
                continue;
            }
            // Others touch it while it is let go.
            let is_going = AtomicBool::new(true);
            let last = AtomicUsize::new(segment.as_ptr().addr().get() + segment.size().get() - 1);
            let range = thread::scope(|scope| {
                scope.spawn(|| {
                    let last = ptr::with_exposed_provenance::<u8>(last.load(Relaxed));
                    while is_going.load(Relaxed) {
                        // SAFETY: the range stays until the threads have ended.
                        black_box(unsafe { last.read_volatile() });
                    }
                });
                let (_, range) = segment.let_go_in_place(&|| false);
                is_going.store(false, Relaxed);
                range
            });
            drop(range);
        }
    };
    let own = || {
        while !stop.load(Relaxed) {
            // Of the size of the segment, so that the kernel gives the same addresses.
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping.
            let start = unsafe {
                libc::mmap(ptr::null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
            };
            // SAFETY: it has as many bytes.
            unsafe { start.cast::<u8>().write_bytes(9, SIZE) };
            thread::yield_now();
            // SAFETY: written above.
            let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), SIZE) };
            assert!(bytes.iter().all(|&byte| byte == 9), "somebody laid a page over memory of ours");
            // SAFETY: mapped above, and not used any more.
            unsafe { libc::munmap(start, SIZE) };
        }
    };
    thread::scope(|scope| {
        for seed in 1..=3 {
            scope.spawn(move || touch(seed));
        }
        scope.spawn(own);
        // On a busy machine no other thread may have run between two of them yet.
        let is_over = |round| round >= count && (shrunk.load(Relaxed) > 0 || round >= 1000 * count);
        for round in (0..).take_while(|&round| !is_over(round)) {
            resize(&object, (round * 7919) % SIZE).expect("it is ours");
            thread::sleep(Duration::from_micros(50));
            resize(&object, SIZE).expect("it is ours");
        }
        stop.store(true, Relaxed);
    });
    drop(keeper);
    format!("{} found", shrunk.into_inner())
}
