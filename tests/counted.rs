//! The table of counts, as a file and on the page: what would hide a change for the worse. The counting itself is
//! `ci/counts.sh`.

#[expect(dead_code, reason = "the counting uses the rest")]
#[path = "../benches/counts/table.rs"]
mod table;

use table::{Figures, Kind, Loose, Row};

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a file of the repository")
}

fn row(instructions: f64, read_modify_writes: f64) -> Row {
    let mut figures = Figures::default();
    figures[Kind::Instructions] = instructions;
    figures[Kind::ReadModifyWrites] = read_modify_writes;
    let case = String::from("publish, nobody");
    Row { case, figures }
}

fn complaints(seen: &Row, loose: Option<&Loose>) -> Vec<String> {
    let complaints = row(1_000.0, 3.0).compare(seen, loose).into_iter();
    complaints.map(|complaint| complaint.text).collect()
}

#[test]
fn the_page_shows_what_the_file_says() {
    let (page, rows) = (
        read("docs/performance.md"),
        table::parse(&read("benches/counts.txt")),
    );
    assert!(rows.len() > 30, "{} rows", rows.len());
    assert!(
        page == table::put_into(&page, &rows),
        "write the table anew: ci/counts.sh --renew"
    );
}

#[test]
fn a_file_comes_back_as_it_was_written() {
    let rows = [row(1_234.4, 3.004), row(12.0, 0.25)];
    let loose = Loose {
        by: &[(Kind::Frees, 1.0)],
        why: "of luck",
    };
    let text = table::write(&rows, |_| Some(&loose), "a compiler");
    let read = table::parse(&text);
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].figures[Kind::Instructions], 1_234.0);
    assert_eq!(read[0].figures[Kind::ReadModifyWrites], 3.0);
    assert_eq!(read[1].figures[Kind::ReadModifyWrites], 0.25);
    assert_eq!(text, table::write(&read, |_| Some(&loose), "a compiler"));
}

#[test]
fn worse_and_better_are_found_beyond_the_tolerance_only() {
    for same in [row(1_000.0, 3.0), row(1_029.0, 3.004), row(971.0, 2.996)] {
        assert!(complaints(&same, None).is_empty());
    }
    let worse = "publish, nobody: 1031 instructions seen, 1000 expected, within 3 %";
    assert_eq!(complaints(&row(1_031.0, 3.0), None), [worse]);
    let better = "publish, nobody: 2 read-modify-writes seen, 3 expected";
    assert_eq!(complaints(&row(1_000.0, 2.0), None), [better]);
    assert_eq!(complaints(&row(900.0, 3.01), None).len(), 2);
}

#[test]
fn what_is_inexact_is_so_by_what_it_says() {
    let loose = Loose {
        by: &[(Kind::ReadModifyWrites, 0.5)],
        why: "of luck",
    };
    assert!(complaints(&row(1_000.0, 3.5), Some(&loose)).is_empty());
    assert_eq!(complaints(&row(1_000.0, 3.6), Some(&loose)).len(), 1);
    assert_eq!(complaints(&row(1_040.0, 3.0), Some(&loose)).len(), 1);
}
