//! The smallest whole: a topic, a typed subscription, two messages, an end that can be waited for.

use stasis_bus::Bus;

struct Order {
    item: &'static str,
    count: u32,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    let orders = bus.topic("orders")?;

    // Only orders come here, one after the other. The handler may own and change what it likes.
    let mut sum = 0;
    let subscription = orders.subscribe().run(move |order: &Order| {
        sum += order.count;
        println!("{} x {}, {sum} things in all", order.count, order.item);
    })?;

    orders.publish(Order {
        item: "tea",
        count: 2,
    })?;
    orders.publish(Order {
        item: "cake",
        count: 1,
    })?;
    let receipt = orders.publish("a text")?;
    assert_eq!(
        (receipt.offered(), receipt.filtered()),
        (0, 1),
        "nobody wants texts"
    );

    // What was accepted is delivered, then nothing more.
    orders.close();
    let last = subscription.join()?;
    println!("{}: {} messages delivered", last.reason, last.delivered);
    assert_eq!((last.delivered, last.shed, last.discarded), (2, 0, 0));
    assert!(orders.publish("too late").is_err());
    Ok(())
}
