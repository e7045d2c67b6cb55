//! Draws charts as SVG: bars by name, and curves. It knows *nothing* of what they show.

use crate::peer::Fault;
use plotters::coord::combinators::{BindKeyPoints, WithKeyPoints};
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

type Drawn = Result<(), Fault>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(225, 225, 225);
const OURS: RGBColor = RGBColor(20, 100, 180);
/// Our curves, where there are several.
const OUR_CURVES: [RGBColor; 4] = [
    OURS,
    RGBColor(0, 40, 110),
    RGBColor(70, 150, 240),
    RGBColor(0, 130, 140),
];
const RIVAL: RGBColor = RGBColor(165, 175, 185);
/// Colours of curves, told apart by those as well who see few colours.
const CURVES: [RGBColor; 12] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 60),
    RGBColor(150, 150, 150),
    RGBColor(110, 60, 160),
    RGBColor(200, 30, 60),
    RGBColor(60, 60, 60),
    RGBColor(140, 140, 20),
    RGBColor(240, 100, 160),
];

/// A bar that is longer than the one in the middle by more than this is broken off.
const MOST_TIMES_THE_MIDDLE: f64 = 6.0;

/// Width and height of one chart.
const BARS_WIDTH: u32 = 560;
const BAR_HEIGHT: u32 = 19;
const BARS_HEAD: u32 = 62;
const CURVES_SIZE: (u32, u32) = (640, 380);

/// A figure, and how far it varied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// One name and its figure.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) is_ours: bool,
    pub(super) value: Range,
}

/// Bars, the longest on top.
#[derive(Clone, Debug)]
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
}

/// Points that belong together, with their range.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) label: String,
    pub(super) is_ours: bool,
    pub(super) points: Vec<(f64, Range)>,
}

/// What stands along the horizontal axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Along {
    /// Counts, on a scale that doubles.
    Counts(&'static str),
    /// Names, of the points 0, 1, and so on.
    Names(&'static [&'static str]),
}

/// Curves over one axis; the vertical one is logarithmic.
#[derive(Clone, Debug)]
pub(super) struct Curves {
    pub(super) title: String,
    pub(super) along: Along,
    pub(super) up: &'static str,
    pub(super) curves: Vec<Curve>,
}

/// Charts beside and below one another.
pub(super) fn draw_bars(path: &Path, charts: &[Bars], columns: usize) -> Drawn {
    let most = charts.iter().map(|chart| chart.bars.len()).max();
    let height = BARS_HEAD + BAR_HEIGHT * most.unwrap_or(0) as u32;
    let size = (BARS_WIDTH, height);
    on_grid(path, size, charts.len(), columns, |index, area| {
        draw_bar_chart(&charts[index], area)
    })
}

/// Charts beside and below one another.
pub(super) fn draw_curves(path: &Path, charts: &[Curves], columns: usize) -> Drawn {
    on_grid(path, CURVES_SIZE, charts.len(), columns, |index, area| {
        draw_curve_chart(&charts[index], area)
    })
}

fn on_grid(
    path: &Path,
    (width, height): (u32, u32),
    count: usize,
    columns: usize,
    mut draw: impl FnMut(usize, &Area<'_>) -> Drawn,
) -> Drawn {
    let columns = columns.min(count).max(1);
    let rows = count.div_ceil(columns);
    let root = SVGBackend::new(path, (width * columns as u32, height * rows as u32));
    let root = root.into_drawing_area();
    root.fill(&WHITE)?;
    for (index, area) in root.split_evenly((rows, columns)).iter().enumerate() {
        if index < count {
            draw(index, area)?;
        }
    }
    root.present()?;
    Ok(())
}

fn text(size: u32, at: Pos) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font())
        .color(&INK)
        .pos(at)
}

fn draw_bar_chart(chart: &Bars, area: &Area<'_>) -> Drawn {
    const NAMES: i32 = 190;
    const FIGURES: i32 = 70;
    let (width, _) = area.dim_in_pixel();
    let title = text(15, Pos::new(HPos::Left, VPos::Top));
    area.draw_text(&chart.title, &title, (14, 14))?;
    let mut bars: Vec<&Bar> = chart.bars.iter().collect();
    bars.sort_by(|a, b| b.value.median.total_cmp(&a.value.median));
    let longest = bars.iter().map(|bar| bar.value.max).fold(0.0, f64::max);
    // What is far longer than the others would leave no room to tell those apart.
    let middle = bars.get(bars.len() / 2).map_or(0.0, |bar| bar.value.median);
    let end = longest.min(middle * MOST_TIMES_THE_MIDDLE);
    let room = f64::from(width as i32 - NAMES - FIGURES);
    let reach = |value: f64| NAMES + (value.min(end) / end * room) as i32;
    for (row, bar) in bars.iter().enumerate() {
        let top = BARS_HEAD as i32 - 18 + row as i32 * BAR_HEIGHT as i32;
        let (middle, bottom) = (top + BAR_HEIGHT as i32 / 2 - 1, top + BAR_HEIGHT as i32 - 4);
        let color = if bar.is_ours { OURS } else { RIVAL };
        let corners = [(NAMES, top), (reach(bar.value.median), bottom)];
        area.draw(&Rectangle::new(corners, color.filled()))?;
        let (least, most) = (reach(bar.value.min), reach(bar.value.max));
        if bar.value.median > end {
            // It is broken off.
            let gap = [(most - 14, bottom + 1), (most - 8, top - 1)];
            area.draw(&PathElement::new(gap, WHITE.stroke_width(4)))?;
        }
        for line in [
            [(least, middle), (most, middle)],
            [(least, middle - 3), (least, middle + 3)],
            [(most, middle - 3), (most, middle + 3)],
        ] {
            area.draw(&PathElement::new(line, INK.stroke_width(1)))?;
        }
        let names = text(12, Pos::new(HPos::Right, VPos::Center));
        let names = if bar.is_ours {
            names.color(&OURS)
        } else {
            names
        };
        area.draw_text(&bar.label, &names, (NAMES - 6, middle))?;
        let figures = text(12, Pos::new(HPos::Left, VPos::Center));
        let at = (most.max(reach(bar.value.median)) + 6, middle);
        area.draw_text(&figure(bar.value.median), &figures, at)?;
    }
    Ok(())
}

fn draw_curve_chart(chart: &Curves, area: &Area<'_>) -> Drawn {
    let points = || chart.curves.iter().flat_map(|curve| &curve.points);
    let least = points().map(|(_, it)| it.median).fold(f64::MAX, f64::min);
    let most = points().map(|(_, it)| it.median).fold(0.0, f64::max);
    // Not less than a decade, so that what is flat looks flat.
    let (low, high) = (least.max(1e-3) * 0.7, most.max(1e-3) * 1.5);
    let widen = (10.0 * low / high).max(1.0).sqrt();
    let (low, high) = (low / widen, high * widen);
    let marks = marks(low, high);
    let up = (low..high).log_scale().with_key_points(marks);
    let last = points().map(|(x, _)| *x).fold(0.0, f64::max);
    let first = points().map(|(x, _)| *x).fold(f64::MAX, f64::min);
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(&chart.title, text(15, Pos::default()))
        .margin(10)
        .margin_right(170)
        .x_label_area_size(42)
        .y_label_area_size(58);
    match chart.along {
        Along::Counts(_) => {
            let along = (first * 0.9..last * 1.1).log_scale().base(2.0);
            draw_on_axes(chart, area, builder.build_cartesian_2d(along, up)?)
        }
        Along::Names(_) => {
            let along: RangedCoordf64 = (-0.15..last + 0.15).into();
            draw_on_axes(chart, area, builder.build_cartesian_2d(along, up)?)
        }
    }
}

type Axes<'a, 'b, X> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, WithKeyPoints<LogCoord<f64>>>>;

fn draw_on_axes<'b, X>(chart: &Curves, area: &Area<'_>, mut axes: Axes<'_, 'b, X>) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let name_of = |x: &f64| match chart.along {
        Along::Counts(_) => count(*x),
        Along::Names(names) => match (x.fract().abs() < 1e-9, names.get(*x as usize)) {
            (true, Some(name)) if *x >= 0.0 => (*name).to_owned(),
            _ => String::new(),
        },
    };
    let (described, labels) = match chart.along {
        Along::Counts(what) => (what, 9),
        Along::Names(names) => ("", names.len()),
    };
    axes.configure_mesh()
        .disable_x_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .x_desc(described)
        .y_desc(chart.up)
        .x_labels(labels)
        .y_labels(MOST_MARKS)
        .x_label_formatter(&name_of)
        .y_label_formatter(&|y| figure(*y))
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .draw()?;
    let mut ends = Vec::new();
    let (mut ours, mut theirs) = (OUR_CURVES.iter().cycle(), CURVES.iter().cycle());
    for curve in &chart.curves {
        let colors = if curve.is_ours {
            &mut ours
        } else {
            &mut theirs
        };
        let color = colors.next().copied().unwrap_or(INK);
        let style = color.stroke_width(if curve.is_ours { 3 } else { 1 });
        let points = || curve.points.iter().map(|(x, y)| (*x, y.median.max(1e-3)));
        axes.draw_series(LineSeries::new(points(), style))?;
        axes.draw_series(points().map(|at| Circle::new(at, 3, color.filled())))?;
        if let Some(last) = points().next_back() {
            ends.push((axes.backend_coord(&last), curve, color));
        }
    }
    draw_labels(area, ends)
}

const MOST_MARKS: usize = 30;

/// Powers of ten; where there are few of them, twice and five times as much as well.
fn marks(low: f64, high: f64) -> Vec<f64> {
    let digits: &[f64] = if high / low > 3_000.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let marks = powers.flat_map(|power| digits.iter().map(move |it| it * 10_f64.powi(power)));
    marks.filter(|mark| (low..high).contains(mark)).collect()
}

type End<'a> = ((i32, i32), &'a Curve, RGBColor);

/// Names at the ends of the curves, moved apart where they would meet.
fn draw_labels(area: &Area<'_>, mut ends: Vec<End<'_>>) -> Drawn {
    const APART: i32 = 14;
    let (left, top) = area.get_base_pixel();
    ends.sort_by_key(|((_, y), ..)| *y);
    let lowest = top + area.dim_in_pixel().1 as i32 - 50;
    let mut free = i32::MIN;
    for index in 0..ends.len() {
        let left_over = (ends.len() - index - 1) as i32;
        let wanted = ends[index].0.1.min(lowest - left_over * APART);
        free = wanted.max(free);
        ends[index].0.1 = free;
        free += APART;
    }
    for ((x, y), curve, color) in ends {
        let style = text(12, Pos::new(HPos::Left, VPos::Center)).color(&color);
        area.draw_text(&curve.label, &style, (x - left + 9, y - top))?;
    }
    Ok(())
}

/// Three digits, as far as they say something.
fn figure(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", figure(value / 1e6)),
        value if value >= 1e4 => format!("{} k", figure(value / 1e3)),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => trimmed(format!("{value:.1}")),
        value => trimmed(format!("{value:.2}")),
    }
}

fn trimmed(figure: String) -> String {
    match figure.contains('.') {
        true => figure
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => figure,
    }
}

fn count(value: f64) -> String {
    match value.round() as u64 {
        value if value >= 10_000 => format!("{},{:03}", value / 1_000, value % 1_000),
        value => value.to_string(),
    }
}
