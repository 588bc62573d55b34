//! `flagstone matmul`.

use std::path::Path;

use flagstone::{
    Array, ArrayFormat, Counter, DType, Element, Explanation, OutputOptions, Session, StoreTo,
    ZarrOptions, format_bytes, inspect_array,
};

use crate::args::Matmul;
use crate::reports::Files;
use crate::run::{Failure, explained, explaining, say, with_session};

pub(crate) fn run(args: &Matmul) -> Result<(), Failure> {
    let operands = check(args)?;
    match operands.width() {
        DType::F32 => typed::<f32>(args, operands),
        _ => typed::<f64>(args, operands),
    }
}

pub(crate) fn explain(args: &Matmul) -> Result<(), Failure> {
    let operands = check(args)?;
    let session = explaining(&args.common, Some(&args.output))?;
    let explanation = match operands.width() {
        DType::F32 => explanation::<f32>(args, operands, &session)?,
        _ => explanation::<f64>(args, operands, &session)?,
    };
    explained("", &explanation)
}

/// The element types of both matrices, f32 or f64.
#[derive(Clone, Copy)]
struct Operands {
    a: DType,
    b: DType,
}

impl Operands {
    /// What the product is made of: f32 where both are, as NumPy promotes.
    fn width(self) -> DType {
        if self.a == DType::F32 && self.b == DType::F32 {
            DType::F32
        } else {
            DType::F64
        }
    }
}

/// Looks at both headers: both must be floats, and their shapes must fit together.
fn check(args: &Matmul) -> Result<Operands, Failure> {
    let (a, b) = (inspect_array(&args.a)?, inspect_array(&args.b)?);
    for (path, dtype) in [(&args.a, a.0), (&args.b, b.0)] {
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(Failure::Other(format!(
                "{} holds {dtype} elements, and products are made of f64 or f32: convert it first",
                path.display()
            )));
        }
    }
    let operands = Operands { a: a.0, b: b.0 };
    let (a, b) = (a.1, b.1);
    let fits = |transpose_a: bool, transpose_b: bool| {
        let columns = if transpose_a { a.first() } else { a.last() };
        let rows = if transpose_b { b.last() } else { b.first() };
        columns == rows
    };
    let flat = |shape: &[usize]| matches!(shape.len(), 1 | 2);
    if flat(&a) && flat(&b) && !fits(args.transpose_a, args.transpose_b) {
        return Err(Failure::Other(mismatch(args, &a, &b, &fits)));
    }
    Ok(operands)
}

/// Which two files do not fit together, and which flags would make them.
fn mismatch(args: &Matmul, a: &[usize], b: &[usize], fits: &dyn Fn(bool, bool) -> bool) -> String {
    let operand = |path: &Path, shape: &[usize], transposed: bool| {
        let note = if transposed { ", transposed" } else { "" };
        format!("{} ({}{note})", path.display(), by(shape))
    };
    let mut message = format!(
        "{} and {} do not fit together: the first needs as many columns as the second has rows",
        operand(&args.a, a, args.transpose_a),
        operand(&args.b, b, args.transpose_b),
    );
    let ways = [(true, false), (false, true), (true, true)];
    let way = ways.into_iter().find(|&(change_a, change_b)| {
        fits(args.transpose_a != change_a, args.transpose_b != change_b)
    });
    if let Some((change_a, change_b)) = way {
        let mut words = Vec::new();
        for (change, given, flag) in [
            (change_a, args.transpose_a, "--transpose-a"),
            (change_b, args.transpose_b, "--transpose-b"),
        ] {
            match (change, given) {
                (true, false) => words.push(format!("with {flag}")),
                (true, true) => words.push(format!("without {flag}")),
                (false, _) => {}
            }
        }
        message.push_str(&format!("; they do {}", words.join(" and ")));
    }
    message
}

/// A shape as people write it: `300 x 200`.
fn by(shape: &[usize]) -> String {
    let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
    lengths.join(" x ")
}

fn product<T: Element>(args: &Matmul, operands: Operands) -> Array<T> {
    let operand = |path: &Path, dtype, transpose| {
        let array = match dtype {
            dtype if dtype == T::DTYPE => opened::<T>(path),
            DType::F32 => opened::<f32>(path).astype(),
            _ => opened::<f64>(path).astype(),
        };
        if transpose { array.t() } else { array }
    };
    let a = operand(&args.a, operands.a, args.transpose_a);
    a.dot(&operand(&args.b, operands.b, args.transpose_b))
}

fn opened<T: Element>(path: &Path) -> Array<T> {
    match ArrayFormat::of(path) {
        ArrayFormat::Zarr => Array::open_zarr(path),
        _ => Array::open_npy(path),
    }
}

/// Stores the product in the format that the output is named for.
fn storing<R>(args: &Matmul, keep_partial: bool, store: impl FnOnce(&StoreTo<'_>) -> R) -> R {
    let output = OutputOptions {
        overwrite: args.output.overwrite,
        keep_partial,
    };
    let to = &args.output.to;
    let named = to
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("zarr"));
    if !named {
        return store(&StoreTo::Npy(to, output));
    }
    let options = ZarrOptions {
        output,
        ..ZarrOptions::default()
    };
    store(&StoreTo::Zarr(to, &options))
}

fn explanation<T: Element>(
    args: &Matmul,
    operands: Operands,
    session: &Session,
) -> Result<Explanation, Failure> {
    let product = product::<T>(args, operands);
    Ok(storing(args, false, |to| {
        session.explain_store(&product, to)
    })?)
}

fn typed<T: Element>(args: &Matmul, operands: Operands) -> Result<(), Failure> {
    let files = Files {
        inputs: vec![args.a.clone(), args.b.clone()],
        output: Some(&args.output),
        quarantine: None,
    };
    with_session(&args.common, &files, |session: &Session| {
        let product = product::<T>(args, operands);
        let keep_partial = args.output.keep_partial;
        storing(args, keep_partial, |to| session.store(&product, to))?;
        let stats = session.stats();
        let shape = match product.shape() {
            [] => "one number".to_owned(),
            [length] => format!("{length} numbers"),
            shape => by(shape),
        };
        say(format_args!(
            "{shape} in {:.1} s: {} read, {} written, {} spilled, peak {} of {}",
            stats.wall_s,
            format_bytes(stats.counter(Counter::BytesRead)),
            format_bytes(stats.counter(Counter::BytesWritten)),
            format_bytes(stats.bytes_spilled),
            format_bytes(stats.ledger_peak_bytes),
            format_bytes(session.budget_bytes()),
        ));
        Ok(())
    })
}
