//! Memory for a module: blocks that were freed are kept in lists by their size, and handed out again at once.
//!
//! A request allocates two dozen small blocks and frees them all. The allocator of `std` for WebAssembly (dlmalloc) looks
//! for the best place each time and merges neighbours each time; that was a sixth of what our filters execute, and most
//! of the rest of a request's code had left the processor's caches by then. ARCHITECTURE.md says what was tried instead.
//!
//! What is kept in the lists is never more than what was in use at one time of each size, as nothing is allocated anew
//! while its list has a block.

#![expect(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// Sizes are rounded up to multiples of this, which is also the largest alignment of what comes from a list.
const STEP: usize = 16;

/// How many lists there are: for blocks of up to 1 KiB, as most requests' headers are.
const LISTS: usize = 64;

/// The first free block of each size; each begins with the address of the next.
pub(crate) struct Lists([Cell<*mut u8>; LISTS]);

// SAFETY: a module has one thread. It is no allocator of anything else, as `crate::memory` says below.
unsafe impl Sync for Lists {}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static MEMORY: Lists = Lists::new();

impl Lists {
    pub(crate) const fn new() -> Self {
        Self([const { Cell::new(null_mut()) }; LISTS])
    }

    /// The list that blocks of this layout come from and go to.
    fn of(&self, layout: Layout) -> Option<&Cell<*mut u8>> {
        let list = self.0.get(layout.size().wrapping_sub(1) / STEP)?;
        (layout.align() <= STEP).then_some(list)
    }
}

/// The layout that all blocks of the list of this one have.
fn rounded(layout: Layout) -> Layout {
    let size = layout.size().next_multiple_of(STEP);
    Layout::from_size_align(size, STEP).unwrap_or(layout)
}

// SAFETY: a block is either in use, and then in no list, or in the list of its size, and then nobody else's: `alloc` takes
// it out, `dealloc` puts it in. All blocks of a list were allocated with the list's layout, which is as large and as
// aligned as any that leads to the list. What leads to no list is the system's altogether.
unsafe impl GlobalAlloc for Lists {
    // Inlined, these would be in hundreds of places, and their code in the caches as often.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = self.of(layout) else {
            // SAFETY: the caller's word, passed on.
            return unsafe { System.alloc(layout) };
        };
        let block = list.get();
        if block.is_null() {
            // SAFETY: no layout of a list is empty.
            return unsafe { System.alloc(rounded(layout)) };
        }
        // SAFETY: a free block begins with the address of the next, for which it is large and aligned enough.
        list.set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = self.of(layout) else {
            // SAFETY: the caller's word, passed on.
            return unsafe { System.dealloc(block, layout) };
        };
        // SAFETY: the block was allocated here, and is free from now on.
        unsafe { block.cast::<*mut u8>().write(list.get()) };
        list.set(block);
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's word: `size` is not so large that its layout overflows.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (self.of(layout), self.of(wanted)) {
            // SAFETY: the caller's word, passed on: neither block is a list's.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (Some(held), Some(needed)) if std::ptr::eq(held, needed) => block,
            _ => {
                // SAFETY: the caller's word: `size` is not zero. The blocks do not overlap, as both are in use.
                unsafe {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(block, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A block that is in use, what is written all over it, and how it was asked for.
    struct Used {
        block: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Used {
        fn filled(block: *mut u8, layout: Layout, mark: u8) -> Self {
            assert!(!block.is_null());
            assert_eq!(block.addr() % layout.align(), 0);
            // SAFETY: the block is that large.
            unsafe { block.write_bytes(mark, layout.size()) };
            Self { block, layout, mark }
        }

        fn holds(&self, size: usize) -> bool {
            // SAFETY: the block is at least that large, and was filled.
            unsafe { std::slice::from_raw_parts(self.block, size) }
                .iter()
                .all(|byte| *byte == self.mark)
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Alloc { size: usize, align: usize },
        Dealloc(usize),
        Realloc(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let size = || prop_oneof![8 => 1_usize..130, 2 => 900_usize..1200, 1 => 1_usize..5000];
        let align = prop::sample::select(vec![1_usize, 4, 8, 16, 32]);
        let step = prop_oneof![
            3 => (size(), align).prop_map(|(size, align)| Step::Alloc { size, align }),
            2 => any::<usize>().prop_map(Step::Dealloc),
            1 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Realloc(which, size)),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn no_block_is_in_use_twice_and_none_loses_what_it_holds(steps in steps()) {
            let lists = Lists::new();
            let mut used: Vec<Used> = Vec::new();
            for (mark, step) in (0_u8..=255).cycle().zip(steps) {
                match step {
                    Step::Alloc { size, align } => {
                        let layout = Layout::from_size_align(size, align).unwrap();
                        // SAFETY: the layout is not empty.
                        used.push(Used::filled(unsafe { lists.alloc(layout) }, layout, mark));
                    }
                    Step::Dealloc(which) if !used.is_empty() => {
                        let gone = used.swap_remove(which % used.len());
                        prop_assert!(gone.holds(gone.layout.size()));
                        // SAFETY: allocated here, and not used again.
                        unsafe { lists.dealloc(gone.block, gone.layout) };
                    }
                    Step::Realloc(which, size) if !used.is_empty() => {
                        let old = used.swap_remove(which % used.len());
                        let layout = Layout::from_size_align(size, old.layout.align()).unwrap();
                        // SAFETY: allocated here, and not used again.
                        let block = unsafe { lists.realloc(old.block, old.layout, size) };
                        let moved = Used { block, ..old };
                        prop_assert!(moved.holds(size.min(moved.layout.size())));
                        used.push(Used::filled(block, layout, mark));
                    }
                    Step::Dealloc(_) | Step::Realloc(..) => {}
                }
            }
            prop_assert!(used.iter().all(|block| block.holds(block.layout.size())));
            // SAFETY: allocated here, and not used again.
            used.into_iter().for_each(|block| unsafe { lists.dealloc(block.block, block.layout) });
            lists.empty();
        }
    }

    #[test]
    fn a_block_that_was_freed_is_the_next_of_its_size() {
        let lists = Lists::new();
        let [small, alike, larger] =
            [17, 32, 33].map(|size| Layout::from_size_align(size, 8).unwrap());
        // SAFETY: no layout is empty, and nothing is freed twice.
        unsafe {
            let block = lists.alloc(small);
            lists.dealloc(block, small);
            assert_eq!(lists.alloc(alike), block);
            assert_eq!(lists.realloc(block, alike, 20), block);
            let other = lists.alloc(larger);
            assert_ne!(other, block);
            lists.dealloc(block, small);
            lists.dealloc(other, larger);
        }
        lists.empty();
    }

    impl Lists {
        /// Gives everything back to the system.
        fn empty(&self) {
            for (index, list) in self.0.iter().enumerate() {
                let layout = Layout::from_size_align((index + 1) * STEP, STEP).unwrap();
                while !list.get().is_null() {
                    // SAFETY: a list's blocks are free, and have the list's layout.
                    unsafe { System.dealloc(self.alloc(layout), layout) };
                }
            }
        }
    }
}
