//! The dial plan: what happens to a call, by the user part of the called URI.

use ezk_sip_types::StatusCode;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Rings and is answered at once.
    Answer,
    /// Rings until the caller gives up, or `leg::RING_LIMIT` is over.
    Ring,
    /// Is refused with a final status.
    Reject(StatusCode),
}

/// Looks up a called user.
///
/// | user | what happens |
/// | --- | --- |
/// | `1000` to `1999` | answered |
/// | `ring` | rings until cancelled |
/// | `busy` | 486 |
/// | `decline` | 603 |
/// | anything else | 404 |
pub(crate) fn look_up(called: &str) -> Verdict {
    let is_extension = called.len() == 4
        && called.starts_with('1')
        && called.bytes().all(|byte| byte.is_ascii_digit());
    match called {
        _ if is_extension => Verdict::Answer,
        "ring" => Verdict::Ring,
        "busy" => Verdict::Reject(StatusCode::BUSY_HERE),
        "decline" => Verdict::Reject(StatusCode::DECLINE),
        _ => Verdict::Reject(StatusCode::NOT_FOUND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        assert_eq!(look_up("1000"), Verdict::Answer);
        assert_eq!(look_up("1999"), Verdict::Answer);
        assert_eq!(look_up("ring"), Verdict::Ring);
        assert_eq!(look_up("busy"), Verdict::Reject(StatusCode::BUSY_HERE));
        assert_eq!(look_up("decline"), Verdict::Reject(StatusCode::DECLINE));
        for unknown in ["", "100", "10000", "2000", "1a00", "nobody", "1\u{e9}0"] {
            assert_eq!(
                look_up(unknown),
                Verdict::Reject(StatusCode::NOT_FOUND),
                "{unknown}"
            );
        }
    }
}
