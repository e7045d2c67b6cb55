//! How things stand, for who comes late: the states of lines are cached as they are published, a board begins
//! with what is cached and follows the updates, and an aggregate over two machines says whether a line is busy
//! on either of them.

use stasis_bus::{Aggregate, Bus, Cache, CacheUpdate, MessageType, Origin};

#[derive(Debug, Clone, PartialEq)]
struct Line {
    number: u32,
    is_busy: bool,
}

static LINE: MessageType<Line> = MessageType::new("line");

/// Another machine, whose messages come in by some bridge.
const FAR: Origin = Origin::new(2);

fn line(number: u32, is_busy: bool) -> Line {
    Line { number, is_busy }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bus = Bus::new()?;
    let lines = bus.topic("lines")?;
    let cache = Cache::builder()
        .key(&LINE, |line| Some(line.number.into()))
        .suppress_unchanged(&LINE)
        .aggregate(&LINE, |snapshots| {
            let Some((_, any)) = snapshots.iter().next() else {
                return Aggregate::None;
            };
            let is_busy = snapshots.iter().any(|(_, line)| line.is_busy);
            let new = line(any.number, is_busy);
            match snapshots.aggregate() {
                Some(old) if *old == new => Aggregate::Unchanged,
                _ => Aggregate::New(new),
            }
        })
        .build()?;
    let caching = cache.attach(&lines)?;

    lines.publish(LINE.message(line(7, false)))?;
    lines.publish(LINE.message(line(8, false)))?;
    // Known when publish has returned.
    assert!(cache.get(&LINE, 7)?.is_some());

    let board = caching.subscribe_with_snapshot(
        |options| options.name("board"),
        |update: &CacheUpdate| {
            let say = |line: Option<&Line>| {
                line.map_or("-", |it| if it.is_busy { "busy" } else { "free" })
            };
            let whose = if update.is_aggregate() {
                "line"
            } else {
                "its state"
            };
            println!(
                "{} {whose}: {} -> {}",
                update.key,
                say(update.old_as()),
                say(update.new_as())
            );
        },
    )?;

    lines.publish(LINE.message_with_origin(line(7, true), FAR))?;
    lines.publish(LINE.message_with_origin(line(7, true), FAR))?; // nothing new: nobody is told
    let busy = cache.aggregate(&LINE, 7)?.ok_or("no aggregate")?;
    assert_eq!(busy.get::<Line>(), Some(&line(7, true)));

    // The other machine is gone, and what it said with it.
    assert_eq!(cache.expire_origin(FAR), 1);
    board.flush()?;
    println!("cached: {} lines", cache.dump().of(&LINE).to_vec().len());
    bus.shutdown()?;
    Ok(())
}
