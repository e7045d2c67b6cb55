//! One thread, one program: the bus does exactly what the model does, operation by operation. Holds it to D1, D2,
//! D4 to D6, L1 to L7, R1b and R2, for inline subscriptions, receivers and executors run by hand.

#![no_main]

#[path = "../src/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;
use model::Program;

fuzz_target!(|program: Program| model::replay(&program));
