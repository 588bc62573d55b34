//! Makes `datasets/samples` anew: `cargo run -p flagstone-datasets --example samples -- DIR`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use flagstone_datasets::{Kind, generate};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("which directory?")?);
    for (kind, size) in [
        (Kind::Arcos, 120_000),
        (Kind::GroupBy, 50_000),
        (Kind::Logs, 150_000),
        (Kind::Matrix, 2 * 64 * 64 * 8),
        (Kind::Words, 50_000),
    ] {
        generate(kind, size, 7, &dir.join(kind.name()), 1)?;
    }
    // two hours that are much smaller than real ones
    let events = dir.join(Kind::GhArchive.name());
    for hour in 0..2 {
        let made = generate(Kind::GhArchive, 1 << 20, 7 + hour, &events.join("one"), 1)?;
        fs::rename(&made[0], events.join(format!("2015-01-01-{hour}.json.gz")))?;
    }
    fs::remove_dir(events.join("one"))?;
    Ok(())
}
