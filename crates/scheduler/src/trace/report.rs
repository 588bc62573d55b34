//! One self-contained HTML page about a run: memory against the budget, the task stream, a table
//! per layer, the longest waits and the slowest tasks. It needs no network and no script.

use std::fmt::Write as _;
use std::io::{self, Write};

use flagstone_common::{Counter, format_bytes};
use plotters::prelude::*;

use super::{Event, EventKind, Stats, Trace};

const WIDTH: u32 = 1100;
/// Rectangles in the task stream; longer runs show the longest events.
const RECTANGLES_MAX: usize = 4000;
const PALETTE: [RGBColor; 10] = [
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

/// Writes the page.
///
/// # Errors
/// Those of `out`, and a chart that cannot be drawn.
pub fn write_report(stats: &Stats, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    let start = trace.events.first().map_or(0, |event| event.start_ns);
    let seconds = |ns: u64| ns.saturating_sub(start) as f64 * 1e-9;
    let end = trace
        .events
        .iter()
        .map(|event| seconds(event.end_ns))
        .fold(0.001, f64::max);
    write!(out, "{HEAD}")?;
    summary(stats, out)?;
    writeln!(
        out,
        "<h2>Memory</h2>{}",
        memory_chart(stats, trace, &seconds, end)?
    )?;
    let budget = match stats.budget_bytes <= chart_top(stats, trace) {
        true => "red line: budget".to_owned(),
        false => format!(
            "the budget, {}, is above the chart",
            format_bytes(stats.budget_bytes)
        ),
    };
    writeln!(
        out,
        "<p class=key>blue: granted by the ledger · {budget} · grey: spilled</p>"
    )?;
    writeln!(out, "<h2>Tasks</h2>{}", task_stream(trace, &seconds, end)?)?;
    legend(trace, out)?;
    sources(stats, out)?;
    layers(stats, trace, out)?;
    waits_and_slowest(trace, out)?;
    if trace.lost > 0 {
        writeln!(
            out,
            "<p>{} older events were overwritten: the charts show the newest.</p>",
            trace.lost
        )?;
    }
    writeln!(out, "</main></body></html>")
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content='width=device-width'><title>Flagstone report</title><style>\
body{font:15px/1.45 system-ui,sans-serif;margin:0;background:#fafafa;color:#222}\
main{max-width:1140px;margin:0 auto;padding:24px}h1{font-size:24px;margin:0 0 12px}\
h2{font-size:18px;margin:28px 0 8px}table{border-collapse:collapse;width:100%;background:#fff}\
th,td{padding:5px 10px;border-bottom:1px solid #e4e4e4;text-align:right;\
font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}\
svg{background:#fff;width:100%;height:auto}.key{color:#555;font-size:13px;margin:4px 0}\
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(172px,1fr));gap:12px}\
.tile{background:#fff;border:1px solid #e4e4e4;border-radius:6px;padding:10px 16px}\
.tile b{display:block;font-size:19px}.tile span{color:#666;font-size:13px}.swatch{display:inline-block;width:11px;height:11px;\
margin:0 5px 0 14px;border-radius:2px}code{font-size:13px}</style></head><body><main>\
<h1>Flagstone report</h1>";

fn summary(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    let percent = 100.0 * stats.ledger_peak_bytes as f64 / stats.budget_bytes.max(1) as f64;
    let peak = format!("ledger peak ({percent:.0} %)");
    let tiles = [
        (format!("{:.2} s", stats.wall_s), "wall time"),
        (stats.tasks.to_string(), "tasks"),
        (format_bytes(stats.budget_bytes), "budget"),
        (format_bytes(stats.ledger_peak_bytes), &peak),
        (format_bytes(stats.certified_peak_bytes), "certified peak"),
        (format_bytes(stats.counter(Counter::BytesRead)), "read"),
        (
            format_bytes(stats.counter(Counter::BytesWritten)),
            "written",
        ),
        (format_bytes(stats.bytes_spilled), "spilled"),
        (format_bytes(stats.bytes_reloaded), "reloaded"),
        (stats.counter(Counter::RowsIn).to_string(), "rows in"),
        (stats.counter(Counter::RowsOut).to_string(), "rows out"),
        (
            stats.counter(Counter::BadRecords).to_string(),
            "bad records",
        ),
    ];
    write!(out, "<div class=tiles>")?;
    for (value, label) in tiles {
        write!(
            out,
            "<div class=tile><b>{value}</b><span>{label}</span></div>"
        )?;
    }
    writeln!(out, "</div>")
}

fn draw(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("the chart could not be drawn: {error}"))
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

fn memory_chart(
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

/// The most bytes that the chart of the memory shows: the budget, unless it is far above.
fn chart_top(stats: &Stats, trace: &Trace) -> u64 {
    let ledger = trace
        .events
        .iter()
        .filter(|event| event.kind == EventKind::Ledger);
    let near = stats.ledger_peak_bytes.saturating_mul(4);
    let top = ledger.map(|event| event.bytes.max(event.detail)).max();
    top.unwrap_or(1).max(stats.budget_bytes.min(near)).max(1)
}

fn task_stream(trace: &Trace, seconds: &dyn Fn(u64) -> f64, end: f64) -> io::Result<String> {
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

fn legend(trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "<p class=key>")?;
    for (i, layer) in trace.layers.iter().enumerate() {
        let RGBColor(r, g, b) = PALETTE[i % PALETTE.len()];
        write!(
            out,
            "<i class=swatch style='background:rgb({r},{g},{b})'></i>{}",
            html(&layer.name)
        )?;
    }
    writeln!(
        out,
        "<i class=swatch style='background:#d62728'></i>spill, load, prefetch\
         <i class=swatch style='background:#bbb'></i>waiting for memory</p>"
    )
}

fn layers(stats: &Stats, trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "<h2>Layers</h2><table><tr><th>layer<th>tasks<th>task time<th>declared at most\
         <th>granted at most<th>blocks<th>spilled</tr>"
    )?;
    for (i, layer) in stats.layers.iter().enumerate() {
        let place = trace
            .layers
            .get(i)
            .and_then(|layer| layer.location.as_deref());
        let place = place.map_or_else(String::new, |at| format!(" <code>{}</code>", html(at)));
        writeln!(
            out,
            "<tr><td>{}{place}<td>{}<td>{:.3} s<td>{}<td>{}<td>{}<td>{}</tr>",
            html(&layer.name),
            layer.tasks,
            layer.task_s,
            format_bytes(layer.declared_bytes_max),
            format_bytes(layer.granted_bytes_max),
            format_bytes(layer.output_bytes),
            layer.spilled
        )?;
    }
    writeln!(out, "</table>")
}

/// The data-quality ledger: a row a source, and the keys that nobody used.
fn sources(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    if stats.sources.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Sources</h2><table><tr><th>source<th>lines<th>records<th>skipped<th>quarantined\
         <th>blank<th>keys looked at in<th>keys never used<th>keys of several types</tr>"
    )?;
    for (name, quality) in &stats.sources {
        let unused: Vec<&str> = quality.never_used().collect();
        let mixed = quality.keys.iter().filter_map(|(name, key)| {
            let types: Vec<&str> = key.types().map(|(kind, _)| kind.name()).collect();
            (types.len() > 1).then(|| format!("{name} ({})", types.join(", ")))
        });
        writeln!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            html(name),
            quality.lines,
            quality.records,
            quality.skipped,
            quality.quarantined,
            quality.blank,
            quality.looked_into,
            html(&unused.join(", ")),
            html(&mixed.collect::<Vec<_>>().join(", ")),
        )?;
    }
    writeln!(out, "</table>")
}

fn waits_and_slowest(trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    let longest = |kind: EventKind, count: usize| {
        let mut events: Vec<&Event> = trace
            .events
            .iter()
            .filter(|event| event.kind == kind)
            .collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.end_ns - event.start_ns));
        events.truncate(count);
        events
    };
    let name = |event: &Event| match trace.keys.get(&(event.run, event.rank)) {
        Some(key) => html(key),
        None => {
            let layer = trace.layer(event);
            let layer = layer.map_or("task", |layer| layer.name.as_str());
            format!("{} (rank {})", html(layer), event.rank)
        }
    };
    for (title, kind, what) in [
        ("Longest waits for memory", EventKind::Wait, "needed"),
        ("Slowest tasks", EventKind::Task, "block"),
    ] {
        let events = longest(kind, 10);
        if events.is_empty() {
            continue;
        }
        let mut rows = String::new();
        for event in events {
            let _ = write!(
                rows,
                "<tr><td><code>{}</code><td>{:.3} s<td>{}</tr>",
                name(event),
                (event.end_ns - event.start_ns) as f64 * 1e-9,
                format_bytes(event.bytes)
            );
        }
        writeln!(
            out,
            "<h2>{title}</h2><table><tr><th>task<th>time<th>{what}</tr>{rows}</table>"
        )?;
    }
    Ok(())
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
