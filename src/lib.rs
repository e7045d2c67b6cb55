//! In-process publish/subscribe for latency-sensitive services.

#![warn(clippy::disallowed_types)] // clippy.toml: primitives come from `sync`

mod sync;

mod epoch;
