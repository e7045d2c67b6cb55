//! Three subscribers to one topic that is faster than they are, and what each of them chose to happen:
//! one loses nothing, one wants the newest price of each share, one wants the newest prices of all and
//! is told how many it missed. None of them slows the publisher or the others.

use stasis_bus::{Bus, Message, MessageType, Overflow, Receiver};

#[derive(Debug, Clone, Copy, PartialEq)]
struct Price {
    share: &'static str,
    cents: u32,
}

static PRICE: MessageType<Price> = MessageType::new("price");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    let prices = bus.topic("prices")?;

    // Receivers, so that this program decides how slow they are: they take nothing before the end.
    let ledger = prices.subscribe().name("ledger").capacity(4).receiver()?;
    let board = prices
        .subscribe()
        .name("board")
        .capacity(16)
        .overflow(Overflow::conflate(|message: &Message| {
            message.payload(&PRICE).map_or("", |price| price.share)
        }))
        .receiver()?;
    let ticker = prices
        .subscribe()
        .name("ticker")
        .capacity(3)
        .overflow(Overflow::DropOldest)
        .receiver()?;

    for round in 0..10 {
        for (share, first) in [("ACME", 100), ("BOLT", 200)] {
            let price = Price {
                share,
                cents: first + round,
            };
            prices.publish(PRICE.message(price))?;
        }
    }
    prices.close();

    let ledger = tell(ledger)?;
    assert_eq!(
        ledger.prices.len(),
        20,
        "all, although its mailbox has only four slots"
    );
    assert_eq!((ledger.missed, ledger.shed, ledger.conflated), (0, 0, 0));

    let board = tell(board)?;
    let newest = [
        Price {
            share: "ACME",
            cents: 109,
        },
        Price {
            share: "BOLT",
            cents: 209,
        },
    ];
    assert_eq!(board.prices, newest, "the newest price of each share");
    assert_eq!((board.missed, board.shed, board.conflated), (0, 0, 18));

    let ticker = tell(ticker)?;
    assert_eq!(ticker.prices[1..], newest, "the newest three");
    assert_eq!((ticker.missed, ticker.shed, ticker.conflated), (17, 17, 0));
    Ok(())
}

#[derive(Debug, Default)]
struct Seen {
    prices: Vec<Price>,
    /// As the gap notices say.
    missed: u64,
    /// As the final message says.
    shed: u64,
    conflated: u64,
}

/// Takes all that is there.
fn tell(mut receiver: Receiver) -> Result<Seen, stasis_bus::RecvError> {
    let mut seen = Seen::default();
    let name = receiver.subscription().name().to_owned();
    loop {
        let message = receiver.recv()?;
        if let Some(price) = message.payload(&PRICE) {
            seen.prices.push(*price);
        } else if let Some(gap) = message.as_gap() {
            println!(
                "{name:>6}: {} messages missed, {:?} to {:?}",
                gap.count, gap.first, gap.last
            );
            seen.missed += gap.count;
        } else if let Some(last) = message.as_final() {
            seen.shed = last.shed;
            break;
        }
    }
    seen.conflated = receiver.subscription().stats().conflated;
    println!(
        "{name:>6}: {} prices seen, {} shed, {} conflated",
        seen.prices.len(),
        seen.shed,
        seen.conflated
    );
    Ok(seen)
}
