//! Contenders are measured in rounds, each once in a round, so that whatever else the machine does hits all of them.
//! Who begins changes from round to round.

use crate::peer::Fault;

/// Calls `measure` once a round with each contender that has rounds left.
///
/// # Errors
/// The first that `measure` gives.
pub(crate) fn in_rounds<C>(
    contenders: &mut [C],
    rounds: impl Fn(&C) -> usize,
    mut measure: impl FnMut(&mut C) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let most = contenders.iter().map(&rounds).max().unwrap_or(0);
    for round in 0..most {
        let count = contenders.len();
        for idx in 0..count {
            let contender = &mut contenders[(idx + round) % count];
            if round < rounds(contender) {
                measure(contender)?;
            }
        }
    }
    Ok(())
}

#[test]
fn each_has_its_rounds_and_the_first_place_goes_around() {
    let mut contenders = [('a', 2), ('b', 3), ('c', 1)];
    let mut order = String::new();
    let measured = in_rounds(
        &mut contenders,
        |contender| contender.1,
        |contender| {
            order.push(contender.0);
            Ok(())
        },
    );
    measured.expect("no fault");
    assert_eq!(order, "abcbab");
}
