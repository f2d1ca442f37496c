//! An allocator that counts the bytes a process holds.

// An allocator cannot be written without it: the trait itself is unsafe, and so is handing on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator with two counters: bytes that are live, and the most there were at once.
///
/// Sizes are those that were asked for; what the system adds around them (headers, whole pages) is not counted. A binary
/// installs it with `#[global_allocator]`; it then counts every thread. An allocation costs two atomic operations more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

/// Bytes allocated and not yet freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The most `LIVE` has been since the last reset.
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Whether this process counts: its binary has installed [`Counting`]. Every process allocates before `main`.
pub fn installed() -> bool {
    LIVE.load(Relaxed) > 0
}

/// The bytes that are allocated now, by all threads; 0 where [`installed`] is false.
pub fn live() -> u64 {
    LIVE.load(Relaxed) as u64
}

/// The most bytes that were allocated at once since the last [`reset_peak`], or since the process began.
pub fn peak() -> u64 {
    PEAK.load(Relaxed) as u64
}

/// Lets the peak begin anew at what is live now. Right only while no other thread allocates.
pub fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}

// SAFETY: every call goes on to `System` with its arguments unchanged, so that the contract is the one `System` keeps.
// The counters are no part of it: they allocate nothing and cannot panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about `layout` is the one that `System` asks for.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            grow(layout.size());
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            grow(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from here with this layout, and so from `System`.
        unsafe { System.dealloc(block, layout) };
        LIVE.fetch_sub(layout.size(), Relaxed);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the promise about `size` is the caller's.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            match size.checked_sub(layout.size()) {
                Some(more) => grow(more),
                None => {
                    LIVE.fetch_sub(layout.size() - size, Relaxed);
                }
            }
        }
        moved
    }
}

/// Counts bytes that were allocated. The peak is written only where it rises: mostly this is one addition and one read.
fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
    }
}
