//! The trace as Chrome's and Perfetto's JSON: one track per thread, counters for the ledger.

use std::io::{self, Write};

use super::{EventKind, Trace};

/// Writes a trace for `chrome://tracing` or Perfetto.
///
/// # Errors
/// Those of `out`.
pub fn write_chrome_trace(trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
    for (thread, name) in trace.threads.iter().enumerate() {
        writeln!(
            out,
            "{{\"ph\":\"M\",\"pid\":1,\"tid\":{thread},\"name\":\"thread_name\",\
             \"args\":{{\"name\":{}}}}},",
            json_string(name)
        )?;
    }
    for event in &trace.events {
        let layer = trace.layer(event);
        let layer = layer.map_or("", |layer| layer.name.as_str());
        let (name, category) = match event.kind {
            EventKind::Task => (layer.to_owned(), "task"),
            EventKind::Load => (format!("load {layer}"), "io"),
            EventKind::Spill => (format!("spill {layer}"), "io"),
            EventKind::Prefetch => (format!("prefetch {layer}"), "io"),
            EventKind::Wait => (format!("wait {layer}"), "wait"),
            EventKind::Ledger => {
                writeln!(
                    out,
                    "{{\"ph\":\"C\",\"pid\":1,\"ts\":{:.3},\"name\":\"memory\",\
                     \"args\":{{\"granted\":{},\"spilled\":{}}}}},",
                    event.start_ns as f64 / 1e3,
                    event.bytes,
                    event.detail
                )?;
                continue;
            }
        };
        writeln!(
            out,
            "{{\"ph\":\"X\",\"pid\":1,\"tid\":{},\"ts\":{:.3},\"dur\":{:.3},\"cat\":\"{category}\",\
             \"name\":{},\"args\":{{\"rank\":{},\"bytes\":{},\"granted\":{}}}}},",
            event.thread,
            event.start_ns as f64 / 1e3,
            (event.end_ns - event.start_ns) as f64 / 1e3,
            json_string(&name),
            event.rank,
            event.bytes,
            event.detail
        )?;
    }
    // a last record without a comma behind it
    writeln!(
        out,
        "{{\"ph\":\"i\",\"pid\":1,\"tid\":0,\"ts\":0,\"s\":\"g\",\"name\":\"events lost: {}\"}}",
        trace.lost
    )?;
    writeln!(out, "]}}")
}

/// A text as a JSON string.
fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_for_json() {
        assert_eq!(json_string("a\"b\\c\nx"), "\"a\\\"b\\\\c\\u000ax\"");
    }
}
