//! In-process publish/subscribe for latency-sensitive services.

mod sync;

mod epoch;
