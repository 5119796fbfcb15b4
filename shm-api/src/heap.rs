// A backend over the heap: segments that only this process sees, gone with their last holder.

use shm_api::*;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Segments by key. A clone is the same backend.
#[derive(Clone, Debug, Default)]
pub struct Heap(Arc<Mutex<BTreeMap<Key, Entry>>>);

// What the index knows of a segment that has its key. The count says whether a holder is the last.
#[derive(Debug)]
struct Entry {
    memory: Arc<Memory>,
    holders: usize,
    mode: Mode,
    persist: bool,
}

// 1. The memory itself. It is freed when the last `Arc` is dropped. So holders keep it after a destroy, and so does
//    code that only keeps the addresses.
#[derive(Debug)]
pub struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn zeroed(size: NonZeroUsize) -> Result<Self, OsError> {
        const ENOMEM: i32 = if cfg!(windows) { 8 } else { 12 }; // ERROR_NOT_ENOUGH_MEMORY
        let refused = || OsError::new("alloc_zeroed", ENOMEM).advise("Ask for less.");
        let layout = Layout::from_size_align(size.get(), 64).map_err(|_| refused())?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refused)?;
        Ok(Self { start, layout })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `alloc_zeroed` gave it for this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

// SAFETY: plain bytes, reached through raw pointers only; nothing about them is tied to a thread.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

// 2. The segment: one attachment. Whatever ends it goes through `leave`.
#[derive(Debug)]
pub struct HeapSegment {
    heap: Heap,
    key: Key,
    memory: Option<Arc<Memory>>,
}

impl HeapSegment {
    fn memory(&self) -> &Arc<Memory> {
        self.memory.as_ref().expect("only leave() takes it, and then the segment is gone")
    }

    fn leave(&mut self) -> Option<(Detached, Arc<Memory>)> {
        let memory = self.memory.take()?;
        let mut index = self.heap.index();
        let Some(entry) = index.get_mut(&self.key).filter(|entry| Arc::ptr_eq(&entry.memory, &memory)) else {
            return Some((Detached::Gone, memory));
        };
        entry.holders -= 1;
        let detached = match NonZeroUsize::new(entry.holders) {
            Some(others) => Detached::Outlives(others),
            None if entry.persist => Detached::Outlives(NonZeroUsize::MIN),
            None => {
                index.remove(&self.key);
                Detached::Destroyed
            }
        };
        Some((detached, memory))
    }
}

impl Drop for HeapSegment {
    fn drop(&mut self) {
        self.leave();
    }
}

// SAFETY: the pointer and the size are those of an allocation that the `Arc` keeps; it is aligned to 64
// bytes. The range below keeps another `Arc` of the same allocation.
unsafe impl Segment for HeapSegment {
    type Range = Arc<Memory>;

    fn key(&self) -> &Key {
        &self.key
    }

    fn as_ptr(&self) -> NonNull<u8> {
        self.memory().start
    }

    fn size(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.memory().layout.size()).expect("made from a NonZeroUsize")
    }

    fn access(&self) -> Access {
        Access::ReadWrite
    }

    fn is_current(&self) -> bool {
        self.heap.index().get(&self.key).is_some_and(|entry| Arc::ptr_eq(&entry.memory, self.memory()))
    }

    // An allocation that is all zero may lie in pages that nobody touched yet. They are private to the process, so a
    // touch cannot fail.
    fn populate(&self) -> Result<(), OsError> {
        Ok(())
    }

    fn detach(mut self) -> Detached {
        self.leave().expect("not left before").0
    }

    // The heap cannot swap pages under an address: the range is the memory itself, kept alive. A kernel
    // backend lays private pages over it instead.
    fn let_go_in_place(mut self, _others_leave: &dyn Fn() -> bool) -> (Detached, Self::Range) {
        self.leave().expect("not left before")
    }
}

impl Heap {
    fn index(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        // A panic in another thread does not damage the map: each change of it is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self, key: &Key, entry: &mut Entry) -> HeapSegment {
        entry.holders += 1;
        HeapSegment { heap: self.clone(), key: key.clone(), memory: Some(entry.memory.clone()) }
    }
}

fn describe(key: &Key, entry: &Entry) -> SegmentInfo {
    let mut info = SegmentInfo::new(key.clone(), entry.memory.layout.size() as u64, entry.mode, 0, 0);
    info.holders = Some(entry.holders as u64);
    info.creator = Some(std::process::id());
    info.state = if entry.persist { State::Persistent } else { State::Held };
    info
}

// 3. The backend: look up and change the index under one lock, so that the last holder and the next one
//    never pass each other.
//
// SAFETY: `Memory::zeroed` gives exactly the size that was asked, all zero; only `leave` (the last holder)
// and `destroy` remove an entry, and the memory lives on in the holders' `Arc`s.
unsafe impl Backend for Heap {
    type Segment = HeapSegment;

    fn name(&self) -> &'static str {
        "heap"
    }

    fn create(&self, key: &Key, options: &CreateOptions) -> Result<HeapSegment, CreateError> {
        let mut index = self.index();
        if index.contains_key(key) {
            return Err(CreateError::Exists { key: key.clone() });
        }
        let memory = Arc::new(Memory::zeroed(options.size()).map_err(|error| error.on(key))?);
        let (mode, persist) = (options.permissions(), options.persists());
        let mut entry = Entry { memory, holders: 0, mode, persist };
        let segment = self.hand_out(key, &mut entry);
        index.insert(key.clone(), entry);
        Ok(segment)
    }

    fn attach(&self, key: &Key) -> Result<HeapSegment, AttachError> {
        let mut index = self.index();
        let entry = index.get_mut(key).ok_or_else(|| AttachError::NotFound { key: key.clone() })?;
        Ok(self.hand_out(key, entry))
    }

    fn info(&self, key: &Key) -> Result<SegmentInfo, AttachError> {
        let index = self.index();
        let entry = index.get(key).ok_or_else(|| AttachError::NotFound { key: key.clone() })?;
        Ok(describe(key, entry))
    }

    fn destroy(&self, key: &Key) -> Result<(), DestroyError> {
        self.index().remove(key).map(drop).ok_or_else(|| DestroyError::NotFound { key: key.clone() })
    }
}

// 4. The abilities it has beyond that.
impl List for Heap {
    fn list(&self) -> Result<Vec<SegmentInfo>, OsError> {
        Ok(self.index().iter().map(|(key, entry)| describe(key, entry)).collect())
    }
}
