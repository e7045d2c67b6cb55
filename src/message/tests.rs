//! What messages promise, apart from the interleavings: those are in `loom-tests/tests/message_count.rs`.

#![expect(unsafe_code, reason = "takes the one delivery that it has counted")]
#![expect(
    clippy::disallowed_types,
    reason = "a payload may be any type of std's"
)]

use super::*;
use crate::sync::unmodelled::{Arc, AtomicUsize};
// Relaxed: the tests count, and look at the counts after they have joined the threads.
use crate::sync::atomic::Ordering::Relaxed;
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, SystemTime};

mod counts;

fn thread_count() -> usize {
    if cfg!(miri) { 2 } else { 4 }
}

#[test]
fn a_message_is_one_pointer_and_48_bytes_in_front_of_its_payload() {
    assert_eq!(size_of::<Message>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Message>>(), size_of::<usize>());
    assert_eq!(size_of::<RawDelivery>(), size_of::<usize>());
    assert_eq!(align_of::<header::Header>(), 8);
    if cfg!(target_pointer_width = "64") {
        // And one word for the count of handles.
        assert_eq!(size_of::<header::Header>(), 40);
    }
}

#[test]
fn auto_traits() {
    fn all<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    all::<Message>();
    all::<MessageType<std::sync::Mutex<u8>>>();
    all::<RawDelivery>();
    all::<(Receipt, Timestamp, MessageId, Origin, TypeInfo)>();
    all::<(FinalMessage, Gap, SubscriptionChange)>();
}

#[test]
fn payloads_of_any_size_and_alignment() {
    #[repr(align(64))]
    struct Wide(u8);
    let wide = Message::new(Wide(7));
    let payload: &Wide = wide.get().unwrap();
    assert_eq!(payload.0, 7);
    assert_eq!(std::ptr::from_ref(payload).addr() % 64, 0);
    let delivered = Message::from_raw(wide.clone().into_deliveries(1));
    assert!(std::ptr::eq(payload, delivered.get::<Wide>().unwrap()));

    let nothing = Message::new(());
    assert_eq!(nothing.get(), Some(&()));
    let large = Message::new([3_u64; 1000]);
    assert_eq!(large.get::<[u64; 1000]>().unwrap()[999], 3);
    let byte = Message::new(9_u8);
    assert_eq!(byte.get(), Some(&9_u8));
}

impl Message {
    /// For tests: the one delivery that `raw` is.
    fn from_raw(raw: RawDelivery) -> Self {
        // SAFETY: the tests call this once for each delivery that they made
        unsafe { raw.into_message() }
    }
}

#[test]
fn formats_cost_only_the_messages_that_have_them() {
    use super::payload::sizes;
    let (plain, rendered) = sizes::<u64>();
    assert_eq!(plain, size_of::<super::header::Header>() + size_of::<u64>());
    assert_eq!(rendered, plain + 32);
}

#[test]
fn keys_fit_what_memory_is_kept_for() {
    // A payload with a key in it is aligned to what the key is.
    assert!(align_of::<Key>() <= align_of::<header::Header>());
    for number in [
        0,
        7,
        u128::from(u64::MAX),
        1 << 64,
        u128::MAX - 1,
        u128::MAX,
    ] {
        let key = Key::from(number);
        assert_eq!(key.number(), Some(number));
        assert_eq!(format!("{key} {key:?}"), format!("{number} {number}"));
        assert!(key == KeyRef::from(number).to_key() && key.is(number.into()));
        assert!(!key.is((number ^ 1 << 64).into()) && !key.is((number ^ 1).into()));
        assert!(!key.is("7".into()) && !Key::from("7").is(number.into()));
    }
    assert_eq!(Key::from(-1_i32), Key::from(u128::MAX));
    assert!(Key::from("seven").is("seven".into()) && !Key::from("seven").is("six".into()));
    assert!(!Key::from("7").is(b"7".as_slice().into()));
}

#[test]
fn typed_access_does_not_lie() {
    static ONE: MessageType<u32> = MessageType::new("same name");
    static TWO: MessageType<u32> = MessageType::new("same name");
    static TEXT: MessageType<String> = MessageType::new("text");

    let message = ONE.message(5);
    assert_eq!(message.get::<u32>(), Some(&5));
    assert_eq!(message.get::<i32>(), None);
    assert_eq!(message.payload(&ONE), Some(&5));
    assert_eq!(message.payload(&TWO), None);
    assert_eq!(message.payload(&TEXT), None);
    assert!(message.is(&ONE) && !message.is(&TWO) && !message.is(&TEXT));
    assert_eq!(message.type_name(), "same name");

    let plain = Message::new(5_u32);
    assert_eq!(plain.get::<u32>(), Some(&5));
    assert!(!plain.is(&ONE));
    assert_eq!(plain.type_name(), "u32");
}

#[test]
fn control_messages_cannot_be_forged() {
    let last = FinalMessage {
        reason: FinalReason::Shutdown,
        delivered: 1,
        shed: 2,
        conflated: 4,
        discarded: 3,
    };
    let gap = Gap {
        count: 1,
        first: Message::new(()).id(),
        last: Message::new(()).id(),
    };
    let change = SubscriptionChange {
        topic: Arc::from("topic"),
        subscription: 1,
        name: Arc::from("name"),
        kind: ChangeKind::Subscribed,
    };
    static FORGED: MessageType<FinalMessage> = MessageType::new("final");

    for forged in [
        Message::new(last),
        FORGED.message(last),
        MessageType::leak("final").message(last),
        Message::new(gap),
        MessageType::leak("gap").message(gap),
        Message::new(change.clone()),
        MessageType::leak("subscription_change").message(change.clone()),
    ] {
        assert!(forged.as_final().is_none() && forged.as_gap().is_none());
        assert!(forged.as_change().is_none());
        assert!(!forged.info().is_control());
    }

    let genuine = FINAL.message(last);
    assert_eq!(genuine.as_final(), Some(&last));
    assert!(genuine.as_gap().is_none() && genuine.as_change().is_none());
    assert_eq!(GAP.message(gap).as_gap(), Some(&gap));
    assert_eq!(CHANGE.message(change.clone()).as_change(), Some(&change));
    for info in [FINAL.info(), GAP.info(), CHANGE.info()] {
        assert!(info.is_control());
    }
    assert!(genuine.payload(&FORGED).is_none());
    assert!(FORGED.message(last).payload(&FINAL).is_none());
}

#[test]
fn debug_says_what_it_is_and_not_what_is_in_it() {
    let message = Message::new(String::from("a secret"));
    let text = format!("{message:?}");
    assert!(text.contains("String") && text.contains(&message.id().to_string()));
    assert!(!text.contains("secret"));
    assert_eq!(format!("{FINAL:?}"), "MessageType(\"final\")");
}

#[test]
fn a_type_gets_its_number_once_and_no_other_gets_it() {
    static HERE: MessageType<u8> = MessageType::new("here");
    let ids: Vec<u32> = thread::scope(|scope| {
        let threads: Vec<_> = (0..thread_count())
            .map(|_| scope.spawn(|| HERE.id()))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == HERE.id()));

    let mut seen = HashSet::from([HERE.id()]);
    for _ in 0..10 {
        let short_lived = MessageType::<u8>::new("here");
        assert!(seen.insert(short_lived.id()));
    }
    let info = type_by_id(HERE.id()).unwrap();
    assert!(std::ptr::eq(info, HERE.info()));
    assert!(type_by_id(u32::MAX).is_none());
}

#[test]
fn default_types_are_one_per_rust_type_on_every_thread() {
    struct Private;
    fn infos() -> Vec<&'static TypeInfo> {
        // More than there are lines in the cache, so that some of them fall on one.
        macro_rules! arrays { ($($n:literal)*) => { vec![$(default_type::<[u8; $n]>()),*] } }
        let mut infos = arrays!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
            24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49);
        infos.extend([default_type::<Private>(), default_type::<i8>()]);
        infos
    }
    let here = infos();
    assert_eq!(here, infos());
    assert_eq!(thread::spawn(infos).join().unwrap(), here);
    assert_eq!(here.iter().collect::<HashSet<_>>().len(), here.len());
    assert_eq!(default_type::<i8>().name(), "i8");
    assert_eq!(Message::new(1_i8).info(), default_type::<i8>());
}

#[test]
fn ids_are_unique_and_increase_on_each_thread() {
    let each = if cfg!(miri) { 50 } else { 70_000 };
    let all: Vec<Vec<MessageId>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..thread_count())
            .map(|_| scope.spawn(|| (0..each).map(|_| MessageId::next()).collect()))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for ids in &all {
        assert!(ids.is_sorted());
    }
    let unique: HashSet<u64> = all.iter().flatten().map(|id| id.get()).collect();
    assert_eq!(unique.len(), each * thread_count());
    assert!(!unique.contains(&0));
}

#[test]
fn timestamps_are_in_order_and_read_as_wall_clock_time() {
    const SLACK: Duration = Duration::from_millis(5);
    for _ in 0..20 {
        let before = SystemTime::now();
        let (first, second) = (Message::new(1), Message::new(2));
        let after = SystemTime::now();
        assert!(first.timestamp() <= second.timestamp());
        let at = first.timestamp().to_system_time();
        assert!(at + SLACK > before && at < after + SLACK);
        thread::sleep(Duration::from_millis(8));
        let elapsed = first.timestamp().elapsed_nanos();
        assert!(elapsed >= 7_900_000, "{elapsed}");
        let later = first.timestamp().to_system_time();
        let apart = later
            .duration_since(at)
            .unwrap_or_else(|error| error.duration());
        assert!(apart < SLACK, "{apart:?}");
    }
    // By now the rate is known, and the other way of computing it is taken.
    let start = std::time::Instant::now();
    let stamp = Timestamp::now();
    thread::sleep(Duration::from_millis(20));
    let (elapsed, limit) = (stamp.elapsed_nanos(), start.elapsed());
    assert!(elapsed >= 19_900_000 && u128::from(elapsed) <= limit.as_nanos() + 1_000_000);
}

#[test]
fn what_is_published_becomes_a_message_once() {
    let ready = Message::new("ready");
    let id = ready.id();
    assert_eq!(into_message(ready).id(), id);
    assert_eq!(into_message(5_u16).get(), Some(&5_u16));
    let optional = into_message(Some(Message::new(1)));
    assert!(optional.get::<Option<Message>>().is_some());
}

#[test]
fn messages_are_made_while_a_thread_is_torn_down() {
    struct Late(Arc<AtomicUsize>);
    impl Drop for Late {
        fn drop(&mut self) {
            let message = Message::new(7_u64);
            self.0.store(message.id().get() as usize, Relaxed);
        }
    }
    thread_local! { static LATE: std::cell::RefCell<Option<Late>> = const { std::cell::RefCell::new(None) }; }
    let id = Arc::new(AtomicUsize::new(0));
    let late = Late(id.clone());
    thread::spawn(move || LATE.with(|slot| *slot.borrow_mut() = Some(late)))
        .join()
        .unwrap();
    assert_ne!(id.load(Relaxed), 0);
}

#[test]
fn receipts_add_up() {
    let mut total = Receipt::default();
    for n in 1..=2 {
        total += Receipt {
            offered: n,
            filtered: 10 * n,
            shed: 100 * n,
            closed: 1000 * n,
        };
    }
    assert_eq!((total.offered(), total.filtered()), (3, 30));
    assert_eq!((total.shed(), total.closed()), (300, 3000));
}

/// Not a test: `cargo test --release --lib cost_of -- --ignored --nocapture`.
#[test]
#[ignore = "prints what things cost"]
fn cost_of_the_parts() {
    fn measure<R>(what: &str, f: impl Fn() -> R) {
        const ROUNDS: u32 = 2_000_000;
        let best = (0..7)
            .map(|_| {
                let start = std::time::Instant::now();
                (0..ROUNDS).for_each(|_| drop(std::hint::black_box(f())));
                start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
            })
            .fold(f64::INFINITY, f64::min);
        println!("{what}: {best:.2} ns");
    }
    thread::sleep(Duration::from_millis(120));
    let stamp = Timestamp::now();
    static TYPE: MessageType<[u64; 8]> = MessageType::new("cost");
    measure("timestamp", Timestamp::now);
    measure("  read as wall clock", || stamp.unix_nanos());
    measure("  elapsed", || stamp.elapsed_nanos());
    measure("id", MessageId::next);
    measure("default type", default_type::<u64>);
    measure("Box of 64 bytes", || Box::new([1_u64; 8]));
    measure("new and drop", || Message::new([1_u64; 8]));
    measure("typed new and drop", || TYPE.message([1_u64; 8]));
    measure("new, 1 delivery, drop", || {
        Message::from_raw(Message::new([1_u64; 8]).into_deliveries(1))
    });
    measure("new, 8 deliveries, drop", || {
        let raw = Message::new([1_u64; 8]).into_deliveries(8);
        (0..8).for_each(|_| drop(Message::from_raw(raw)));
    });
    let message = Message::new([1_u64; 8]);
    measure("clone and drop", || message.clone());
    measure("get", || message.get::<[u64; 8]>().is_some());
}
