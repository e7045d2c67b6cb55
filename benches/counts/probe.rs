//! Tells valgrind from inside of a program what to count: callgrind by a request, lackey, which takes none, by stores
//! that stand out in its trace. Without valgrind it does nothing.

#![expect(unsafe_code, reason = "valgrind is spoken to in instructions")]

/// Begins to count what this thread executes, or ends it.
#[inline(always)]
pub(crate) fn toggle() {
    imp::request(imp::TOGGLE_COLLECT);
}

#[cfg(target_arch = "x86_64")]
mod imp {
    use std::arch::asm;

    /// `CALLGRIND_TOGGLE_COLLECT`: the third request of the tool that calls itself CT.
    pub(super) const TOGGLE_COLLECT: u64 = 0x4354_0000 + 2;

    /// One byte after the other, where nobody reads them.
    #[inline(always)]
    pub(super) fn store_mark(last: u64) {
        let [first, second, third, _] = super::MARK;
        let mut bytes = [0_u8; 8];
        debug_assert!(last < bytes.len() as u64);
        // SAFETY: all of these are bytes of the array
        unsafe {
            asm!(
                "mov byte ptr [{bytes} + {first}], 1",
                "mov byte ptr [{bytes} + {second}], 1",
                "mov byte ptr [{bytes} + {third}], 1",
                "mov byte ptr [{bytes} + {last}], 1",
                bytes = in(reg) bytes.as_mut_ptr(),
                first = in(reg) first,
                second = in(reg) second,
                third = in(reg) third,
                last = in(reg) last,
            );
        }
    }

    /// As valgrind.h does it: the rotations come to two full turns, and together with what follows them are
    /// nothing that a compiler would write.
    #[inline(always)]
    pub(super) fn request(code: u64) {
        let arguments = [code, 0, 0, 0, 0, 0];
        // SAFETY: a CPU does nothing here but turn a register twice around; valgrind reads the arguments
        unsafe {
            asm!(
                "rol rdi, 3",
                "rol rdi, 13",
                "rol rdi, 61",
                "rol rdi, 51",
                "xchg rbx, rbx",
                in("rax") arguments.as_ptr(),
                inout("rdx") 0_u64 => _,
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    pub(super) fn store_mark(_: u64) {}

    pub(super) const TOGGLE_COLLECT: u64 = 0;

    pub(super) fn request(_: u64) {}
}

/// What is said to lackey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// From here on it matters who touches what.
    Set,
    /// This thread ends a call, if it is in one, and begins the next.
    Call,
    /// It ends one.
    End,
}

impl Mark {
    pub(crate) const ALL: [Self; 3] = [Self::Set, Self::Call, Self::End];
}

/// Where the stores of a mark go, one after the other; the last one as much further as the kind of the mark says.
pub(crate) const MARK: [u64; 4] = [0, 3, 1, 4];

pub(crate) fn mark(kind: Mark) {
    imp::store_mark(MARK[3] + kind as u64);
}
