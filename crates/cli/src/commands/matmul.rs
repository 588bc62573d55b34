//! `flagstone matmul`.

use std::path::Path;

use flagstone::{Array, Counter, Element, OutputOptions, Session, format_bytes};

use crate::args::Matmul;
use crate::run::{Failure, session, with_session};

pub(crate) fn run(args: &Matmul) -> Result<(), Failure> {
    match element(&args.a)? {
        Width::F64 => typed::<f64>(args),
        Width::F32 => typed::<f32>(args),
    }
}

pub(crate) fn explain(args: &Matmul) -> Result<(), Failure> {
    let session = session(&args.common, flagstone::CancelToken::new())?;
    let explanation = match element(&args.a)? {
        Width::F64 => session.explain(product::<f64>(args))?,
        Width::F32 => session.explain(product::<f32>(args))?,
    };
    print!("{explanation}");
    Ok(())
}

enum Width {
    F32,
    F64,
}

/// The element type of the left matrix decides; the right one must have the same.
fn element(path: &Path) -> Result<Width, Failure> {
    match flagstone::npy_descr(path)?.as_str() {
        "<f8" | "|f8" | ">f8" => Ok(Width::F64),
        "<f4" | "|f4" | ">f4" => Ok(Width::F32),
        other => Err(Failure::Other(format!(
            "{} holds {other} elements; products are made of f64 (<f8) or f32 (<f4)",
            path.display()
        ))),
    }
}

fn product<T: Element>(args: &Matmul) -> Array<T> {
    let open = |path: &Path, transpose: bool| {
        let array = Array::<T>::open_npy(path);
        if transpose { array.t() } else { array }
    };
    open(&args.a, args.transpose_a).dot(&open(&args.b, args.transpose_b))
}

fn typed<T: Element>(args: &Matmul) -> Result<(), Failure> {
    with_session(&args.common, |session: &Session| {
        let product = product::<T>(args);
        let options = OutputOptions {
            overwrite: args.output.overwrite,
            keep_partial: args.output.keep_partial,
        };
        session.store_npy_with(&product, &args.output.to, options)?;
        let stats = session.stats();
        let shape = product.shape();
        eprintln!(
            "{} x {} in {:.1} s: {} read, {} written, {} spilled, peak {} of {}",
            shape[0],
            shape.get(1).copied().unwrap_or(1),
            stats.wall_s,
            format_bytes(stats.counter(Counter::BytesRead)),
            format_bytes(stats.counter(Counter::BytesWritten)),
            format_bytes(stats.bytes_spilled),
            format_bytes(stats.ledger_peak_bytes),
            format_bytes(session.budget_bytes()),
        );
        Ok(())
    })
}
