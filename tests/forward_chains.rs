//! Long chains of forwards: to make and to cancel them costs in proportion to their length, whatever the order,
//! and a publish goes along all of them.

use stasis_bus::{Bus, Forward, Topic};

const LENGTH: usize = 500;

fn topics(bus: &Bus) -> Vec<Topic> {
    let topic = |index| bus.topic(&format!("link/{index}"));
    (0..LENGTH).map(topic).collect::<Result<_, _>>().unwrap()
}

fn link(topics: &[Topic], from: usize) -> Forward {
    topics[from].forward_to(&topics[from + 1]).unwrap()
}

#[test]
fn made_from_the_head_and_cancelled_from_there() {
    let bus = Bus::new().unwrap();
    let topics = topics(&bus);
    let mut last = topics[LENGTH - 1].subscribe().receiver().unwrap();
    let links: Vec<_> = (0..LENGTH - 1).map(|from| link(&topics, from)).collect();
    assert_eq!(topics[0].publish(1_u8).unwrap().offered(), 1);
    assert!(last.try_recv().is_ok());
    drop(links);
    assert_eq!(topics[LENGTH - 2].publish(2_u8).unwrap().offered(), 0);
}

#[test]
fn made_from_the_tail_under_a_topic_with_several_ways_out() {
    let bus = Bus::new().unwrap();
    let topics = topics(&bus);
    let (root, side) = (bus.topic("root").unwrap(), bus.topic("side").unwrap());
    let mut last = topics[LENGTH - 1].subscribe().receiver().unwrap();
    let mut links: Vec<_> = (0..LENGTH - 1)
        .rev()
        .map(|from| link(&topics, from))
        .collect();
    links.push(root.forward_to(&topics[0]).unwrap());
    links.push(root.forward_to(&side).unwrap());
    assert_eq!(root.publish(1_u8).unwrap().offered(), 1);
    // In a circle, and out of it again.
    let back = topics[LENGTH / 2]
        .forward_to(&topics[LENGTH / 2 - 10])
        .unwrap();
    assert_eq!(root.publish(2_u8).unwrap().offered(), 1);
    back.cancel();
    assert_eq!(topics[0].publish(3_u8).unwrap().offered(), 1);
    let got: Vec<u8> = last
        .try_iter()
        .filter_map(|m| m.get::<u8>().copied())
        .collect();
    assert_eq!(got, [1, 2, 3]);
    links.reverse();
    drop(links);
    assert_eq!(root.publish(4_u8).unwrap().offered(), 0);
}
