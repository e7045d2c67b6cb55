//! Lines from whoever is at the other end: as long as they like, of whatever bytes. No more than one line that
//! is not too long is kept.

use std::io::{ErrorKind, Read};

/// A longer line is not looked at.
pub(super) const MAX_LINE: usize = 512;
/// Whoever sends so much of one line does not mean to end it.
const MAX_SKIPPED: usize = 1 << 16;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line is too long. The rest of it is passed over.
    TooLong,
    /// A line goes on and on.
    Endless,
    /// Nothing for now.
    Nothing,
    /// Nothing any more. What had no end of line is no line.
    End,
}

/// Takes lines out of what is read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// How much of a line that is too long was passed over; 0 if there is none.
    skipped: usize,
}

impl Lines {
    /// What comes next. Reads once at most.
    pub(super) fn next(&mut self, mut from: impl Read) -> Input {
        if let Some(input) = self.take() {
            return input;
        }
        let mut chunk = [0; 1024];
        match from.read(&mut chunk) {
            Ok(0) => Input::End,
            Ok(len) => {
                self.buffer.extend_from_slice(&chunk[..len]);
                self.take().unwrap_or(Input::Nothing)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    Input::Nothing
                }
                _ => Input::End,
            },
        }
    }

    fn take(&mut self) -> Option<Input> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return self.skip();
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if std::mem::take(&mut self.skipped) > 0 {
            // The end of a line that was complained of.
            return Some(Input::Nothing);
        }
        Some(if line.len() > MAX_LINE {
            Input::TooLong
        } else {
            Input::Line(line)
        })
    }

    /// Lets go of the beginning of a line that is too long.
    fn skip(&mut self) -> Option<Input> {
        let len = self.buffer.len();
        // One more for the carriage return.
        if self.skipped == 0 && len <= MAX_LINE + 1 {
            return None;
        }
        let is_first = self.skipped == 0;
        self.skipped += len;
        self.buffer.clear();
        if is_first {
            Some(Input::TooLong)
        } else {
            (self.skipped > MAX_SKIPPED).then_some(Input::Endless)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is more than nothing.
    fn inputs(bytes: &[u8]) -> Vec<Input> {
        let (mut lines, mut from) = (Lines::default(), bytes);
        let mut inputs = Vec::new();
        loop {
            match lines.next(&mut from) {
                Input::Nothing => {}
                Input::End => return inputs,
                input => inputs.push(input),
            }
        }
    }

    fn line(text: &str) -> Input {
        Input::Line(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_end_by_line_feeds() {
        assert_eq!(
            inputs(b"a\r\n\nb\xff\n\rc\r\r\nhalf"),
            [
                line("a"),
                line(""),
                Input::Line(vec![b'b', 0xff]),
                line("\rc\r")
            ]
        );
    }

    #[test]
    fn what_is_too_long_is_told_once_and_passed_over() {
        let long = |len| "x".repeat(len);
        let text = format!("{}\r\n{}\n{}\nshort\n", long(512), long(513), long(5000));
        assert_eq!(
            inputs(text.as_bytes()),
            [
                line(&long(512)),
                Input::TooLong,
                Input::TooLong,
                line("short")
            ]
        );
    }

    #[test]
    fn what_does_not_end_is_kept_nowhere() {
        let (mut lines, byte) = (Lines::default(), [0_u8; 1024]);
        assert_eq!(lines.next(&byte[..]), Input::TooLong);
        let next = (0..64).map(|_| lines.next(&byte[..])).last();
        assert_eq!(next, Some(Input::Endless));
        assert!(lines.buffer.is_empty());
    }
}
