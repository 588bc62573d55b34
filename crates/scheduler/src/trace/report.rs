//! One self-contained HTML page about a run: memory against the budget, the task stream, a table
//! per layer, the longest waits and the slowest tasks. It needs no network and no script.

use std::fmt::Write as _;
use std::io::{self, Write};

use flagstone_common::{Counter, format_bytes};
use plotters::prelude::*;

use super::{Event, EventKind, Stats, Trace};

mod charts;

use charts::{PALETTE, chart_top, memory_chart, task_stream};

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
