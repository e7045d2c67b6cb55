//! Three threads at once, which does not replay: publish against unsubscribe, subscribe, close, forward, shutdown and
//! runs by hand. What must hold whatever the interleaving was (D2 to D7, L2 to L4, L6) is in `src/races/check.rs`.

#![no_main]

#[path = "../src/races/mod.rs"]
mod races;

use libfuzzer_sys::fuzz_target;
use races::Program;

fuzz_target!(|program: Program| races::run(program));
