//! The table of what is counted: its columns and how exact each of them is held to, `benches/counts.txt`, and the same
//! table as docs/performance.md shows it. It measures nothing.

use std::fmt::Write as _;
use std::ops::{Index, IndexMut};

/// What is counted of each operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Instructions,
    ReadModifyWrites,
    Fences,
    Allocations,
    Frees,
    SystemCalls,
    Clocks,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Instructions,
        Self::ReadModifyWrites,
        Self::Fences,
        Self::Allocations,
        Self::Frees,
        Self::SystemCalls,
        Self::Clocks,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::ReadModifyWrites => "read-modify-writes",
            Self::Fences => "fences",
            Self::Allocations => "allocations",
            Self::Frees => "frees",
            Self::SystemCalls => "system calls",
            Self::Clocks => "clock readings",
        }
    }

    /// The head of its column.
    fn head(self) -> &'static str {
        match self {
            Self::Instructions => "instr.",
            Self::ReadModifyWrites => "RMWs",
            Self::Fences => "fences",
            Self::Allocations => "allocs",
            Self::Frees => "frees",
            Self::SystemCalls => "syscalls",
            Self::Clocks => "clocks",
        }
    }

    /// As it stands in the table. What comes once in many calls is told to a hundredth of a call.
    fn print(self, figure: f64) -> String {
        match self {
            Self::Instructions => format!("{figure:.0}"),
            _ => {
                let hundredths = (figure * 100.0).round() / 100.0;
                match hundredths.fract() == 0.0 {
                    true => format!("{hundredths:.0}"),
                    false => format!("{hundredths:.2}"),
                }
            }
        }
    }

    /// Of instructions, in hundredths: another version of the compiler or a line elsewhere in the crate makes other
    /// code of the same source. Everything else is exact to the hundredth of a call that the table tells.
    fn tolerance(self) -> f64 {
        match self {
            Self::Instructions => 3.0,
            _ => 0.0,
        }
    }
}

/// One figure of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures([f64; Kind::ALL.len()]);

impl Index<Kind> for Figures {
    type Output = f64;

    fn index(&self, kind: Kind) -> &f64 {
        &self.0[kind as usize]
    }
}

impl IndexMut<Kind> for Figures {
    fn index_mut(&mut self, kind: Kind) -> &mut f64 {
        &mut self.0[kind as usize]
    }
}

/// A case that is not the same in each run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loose {
    /// How far off some kinds may be: instructions in hundredths, others in numbers a call.
    pub(crate) by: &'static [(Kind, f64)],
    pub(crate) why: &'static str,
}

impl Loose {
    fn print(&self) -> String {
        let print = |(kind, by): &(Kind, f64)| match kind {
            Kind::Instructions => format!("{by} % of its {}", kind.name()),
            _ => format!("{by} {}", kind.name()),
        };
        let by: Vec<String> = self.by.iter().map(print).collect();
        format!("#   may be off by {}: {}", by.join(", "), self.why)
    }
}

/// A line of the table: what one call of a case executes.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) figures: Figures,
}

impl Row {
    pub(crate) fn print(&self) -> String {
        let mut line = format!("{:<WIDTH$}", self.case);
        for kind in Kind::ALL {
            write!(line, " |{:>9}", kind.print(self.figures[kind])).expect("a string takes it");
        }
        line
    }

    /// What of `seen` is not as it should be, a line each.
    pub(crate) fn compare(&self, seen: &Self, loose: Option<&Loose>) -> Vec<Complaint> {
        let complain = |kind: Kind| {
            let exception = loose.and_then(|loose| {
                let mut by = loose.by.iter();
                by.find(|(loose, _)| *loose == kind)
            });
            let tolerance = exception.map_or(kind.tolerance(), |(_, by)| *by);
            let expected = self.figures[kind];
            let (within, told) = match kind {
                Kind::Instructions => (expected * tolerance / 100.0, format!("{tolerance} %")),
                _ => (tolerance, tolerance.to_string()),
            };
            // As exact as what was written down.
            let found = kind.print(seen.figures[kind]);
            let found: f64 = found.parse().expect("it was just printed");
            let is_off = (found - expected).abs() > within + 1e-6;
            is_off.then(|| Complaint {
                is_worse: found > expected,
                text: format!(
                    "{}: {} {} seen, {} expected{}",
                    self.case,
                    kind.print(found),
                    kind.name(),
                    kind.print(expected),
                    match tolerance {
                        0.0 => String::new(),
                        _ => format!(", within {told}"),
                    }
                ),
            })
        };
        Kind::ALL.into_iter().filter_map(complain).collect()
    }
}

/// A figure that is off.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// More was executed than expected, not less.
    pub(crate) is_worse: bool,
    pub(crate) text: String,
}

/// How wide the names of cases are.
const WIDTH: usize = 46;

/// The line that says which tools the figures were taken with begins so.
pub(crate) const TOOLS: &str = "# Taken with ";

pub(crate) fn head() -> String {
    let mut line = format!("{:<WIDTH$}", "# one call");
    for kind in Kind::ALL {
        write!(line, " |{:>9}", kind.head()).expect("a string takes it");
    }
    line
}

/// The file, from its rows.
pub(crate) fn write<'a>(
    rows: &[Row],
    loose: impl Fn(&str) -> Option<&'a Loose>,
    tools: &str,
) -> String {
    let mut text = format!(
        "\
# What one call of each operation executes, the C library's allocator included. `ci/counts.sh` compares, and
# `ci/counts.sh --renew` writes this file and the table of docs/performance.md anew. Instructions may be off by
# {} %, the rest is exact to the hundredth that is told, but for the cases that say something else.
{TOOLS}{tools}.
{}
",
        Kind::Instructions.tolerance(),
        head()
    );
    for row in rows {
        writeln!(text, "{}", row.print()).expect("a string takes it");
        if let Some(loose) = loose(&row.case) {
            writeln!(text, "{}", loose.print()).expect("a string takes it");
        }
    }
    text
}

/// The rows of the file.
///
/// # Panics
/// If it is not such a file.
pub(crate) fn parse(text: &str) -> Vec<Row> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    let parse = |line: &str| {
        let mut cells = line.split('|').map(str::trim);
        let case = cells.next().expect("the name of a case").to_owned();
        let mut figures = Figures::default();
        for kind in Kind::ALL {
            let figure = cells.next().and_then(|cell| cell.parse().ok());
            figures[kind] = figure.unwrap_or_else(|| panic!("a figure for each column: {line}"));
        }
        Row { case, figures }
    };
    lines.map(parse).collect()
}

const BEGIN: &str = "<!-- counted: written by ci/counts.sh --renew -->\n";
const END: &str = "<!-- /counted -->\n";

/// The page, with the table in its place.
pub(crate) fn put_into(page: &str, rows: &[Row]) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the place of the table");
    let (_, after) = rest.split_once(END).expect("the end of the table");
    let mut table = String::from("\n| one call |");
    for kind in Kind::ALL {
        write!(table, " {} |", kind.head()).expect("a string takes it");
    }
    table.push_str("\n|---|");
    table.push_str(&"--:|".repeat(Kind::ALL.len()));
    table.push('\n');
    for row in rows {
        write!(table, "| {} |", row.case).expect("a string takes it");
        for kind in Kind::ALL {
            let figure = row.figures[kind];
            let cell = if figure == 0.0 {
                String::new()
            } else {
                with_commas(&kind.print(figure))
            };
            write!(table, " {cell} |").expect("a string takes it");
        }
        table.push('\n');
    }
    format!("{before}{BEGIN}{table}\n{END}{after}")
}

/// 12,345 for 12345.
fn with_commas(figure: &str) -> String {
    let whole = figure.find('.').unwrap_or(figure.len());
    let mut text = String::new();
    for (position, digit) in figure.char_indices() {
        if position > 0 && position < whole && (whole - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
