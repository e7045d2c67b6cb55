//! A receiver that is dropped after it has told a gap, and before it has given the message behind it, has not
//! given that message to anybody: it is discarded, and counted as such (L2).

use stasis_bus::{Bus, Overflow};
use std::sync::mpsc;

#[test]
fn the_message_behind_a_gap_notice_is_counted_as_discarded() {
    let (sender, discarded) = mpsc::channel();
    let bus = Bus::builder()
        .on_discard(move |report| sender.send(report.count).unwrap())
        .build()
        .unwrap();
    let topic = bus.topic("numbers").unwrap();
    let mut receiver = topic
        .subscribe()
        .overflow(Overflow::DropOldest)
        .capacity(2)
        .receiver()
        .unwrap();
    topic.publish_batch(1..=3_u32).unwrap();
    assert!(receiver.recv().unwrap().as_gap().is_some());
    drop(receiver);
    let stats = topic.stats();
    assert_eq!((stats.delivered, stats.shed, stats.discarded), (0, 1, 2));
    assert_eq!(discarded.try_iter().collect::<Vec<_>>(), [2]);
}
