//! The charts of a report: memory over time, and the tasks of every thread.

use std::io;

use flagstone_common::format_bytes;
use plotters::prelude::*;

use crate::trace::{Event, EventKind, Stats, Trace};

/// Rectangles in the task stream; longer runs show the longest events.
const RECTANGLES_MAX: usize = 4000;
pub(super) const PALETTE: [RGBColor; 10] = [
    RGBColor(0x4c, 0x78, 0xa8),
    RGBColor(0xf5, 0x85, 0x18),
    RGBColor(0x54, 0xa2, 0x4b),
    RGBColor(0xb2, 0x79, 0xa2),
    RGBColor(0x72, 0xb7, 0xb2),
    RGBColor(0xee, 0xca, 0x3b),
    RGBColor(0x9d, 0x75, 0x5d),
    RGBColor(0xff, 0x9d, 0xa6),
    RGBColor(0x88, 0x6d, 0xbd),
    RGBColor(0x79, 0x70, 0x6e),
];
const IO_COLOR: RGBColor = RGBColor(0xd6, 0x27, 0x28);
const GRANTED_COLOR: RGBColor = RGBColor(0x4c, 0x78, 0xa8);
const WIDTH: u32 = 1100;

pub(super) fn memory_chart(
    stats: &Stats,
    trace: &Trace,
    seconds: &dyn Fn(u64) -> f64,
    end: f64,
) -> io::Result<String> {
    let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    let samples: Vec<&Event> = trace
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Ledger)
        .collect();
    let top = chart_top(stats, trace);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, 260)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, 0.0..mib(top) * 1.06)
            .map_err(draw)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .x_label_formatter(&|x| format!("{x:.2} s"))
            .y_label_formatter(&|y| format_bytes((y * (1 << 20) as f64) as u64))
            .draw()
            .map_err(draw)?;
        let spilled = steps(&samples, |event| {
            (seconds(event.start_ns), mib(event.detail))
        });
        chart
            .draw_series(LineSeries::new(spilled, RGBColor(150, 150, 150)))
            .map_err(draw)?;
        let granted = steps(&samples, |event| {
            (seconds(event.start_ns), mib(event.bytes))
        });
        let area = AreaSeries::new(granted, 0.0, GRANTED_COLOR.mix(0.25));
        chart
            .draw_series(area.border_style(GRANTED_COLOR))
            .map_err(draw)?;
        let budget = [
            (0.0, mib(stats.budget_bytes)),
            (end, mib(stats.budget_bytes)),
        ];
        if stats.budget_bytes <= top {
            let line = LineSeries::new(budget, IO_COLOR.stroke_width(2));
            chart.draw_series(line).map_err(draw)?;
        }
        root.present().map_err(draw)?;
    }
    Ok(svg)
}

pub(super) fn task_stream(
    trace: &Trace,
    seconds: &dyn Fn(u64) -> f64,
    end: f64,
) -> io::Result<String> {
    let mut events: Vec<&Event> = trace
        .events
        .iter()
        .filter(|event| event.kind != EventKind::Ledger)
        .collect();
    if events.len() > RECTANGLES_MAX {
        events.sort_by_key(|event| std::cmp::Reverse(event.end_ns - event.start_ns));
        events.truncate(RECTANGLES_MAX);
    }
    let threads = trace.threads.len().max(1);
    let mut svg = String::new();
    {
        let height = 50 + 26 * threads as u32;
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end, 0.0..threads as f64)
            .map_err(draw)?;
        let name = |y: &f64| {
            let thread = threads as f64 - y - 0.5;
            let index = thread.round();
            if (thread - index).abs() > 0.01 || index < 0.0 {
                return String::new();
            }
            trace
                .threads
                .get(index as usize)
                .cloned()
                .unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_mesh()
            .y_labels(threads * 2 + 1)
            .x_label_formatter(&|x| format!("{x:.2} s"))
            .y_label_formatter(&name)
            .draw()
            .map_err(draw)?;
        let rectangles = events.iter().map(|event| {
            let row = threads as f64 - f64::from(event.thread);
            let x = (seconds(event.start_ns), seconds(event.end_ns));
            let wait = event.kind == EventKind::Wait;
            let (low, high) = if wait { (0.95, 0.85) } else { (0.82, 0.12) };
            Rectangle::new(
                [(x.0, row - low), (x.1, row - high)],
                color(event, trace).filled(),
            )
        });
        chart.draw_series(rectangles).map_err(draw)?;
        root.present().map_err(draw)?;
    }
    Ok(svg)
}

/// The most bytes that the chart of the memory shows: the budget, unless it is far above.
pub(super) fn chart_top(stats: &Stats, trace: &Trace) -> u64 {
    let ledger = trace
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Ledger);
    let near = stats.ledger_peak_bytes.saturating_mul(4);
    let top = ledger.map(|event| event.bytes.max(event.detail)).max();
    top.unwrap_or(1).max(stats.budget_bytes.min(near)).max(1)
}

/// A value holds until the next sample: steps, not slopes.
fn steps(samples: &[&Event], at: impl Fn(&Event) -> (f64, f64)) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::with_capacity(2 * samples.len());
    for sample in samples {
        let (x, y) = at(sample);
        points.extend(points.last().map(|&(_, before)| (x, before)));
        points.push((x, y));
    }
    points
}

fn color(event: &Event, trace: &Trace) -> RGBColor {
    match event.kind {
        EventKind::Task => {
            let layer = trace
                .layer_of
                .get(&(event.run, event.rank))
                .copied()
                .unwrap_or(0);
            PALETTE[layer as usize % PALETTE.len()]
        }
        EventKind::Wait => RGBColor(0xbb, 0xbb, 0xbb),
        _ => IO_COLOR,
    }
}

fn draw(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("the chart could not be drawn: {error}"))
}
