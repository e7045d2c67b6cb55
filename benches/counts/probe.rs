//! Tells valgrind's callgrind from inside of a program what to count. Without valgrind it does nothing.

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
    pub(super) const TOGGLE_COLLECT: u64 = 0;

    pub(super) fn request(_: u64) {}
}
