//! GitHub-archive events: typed records, several results of one pass, and the same records as
//! Parquet.
//!
//! ```sh
//! cargo run --release --example events -- 'datasets/samples/gharchive/*.json.gz' out/events
//! ```

use std::error::Error;

use flagstone::{Bag, BagExt, Session};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Actor {
    login: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Repo {
    name: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Event {
    id: String,
    r#type: String,
    actor: Actor,
    repo: Repo,
    created_at: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(pattern), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: events 'FILES*.json.gz' TARGET".into());
    };
    let session = Session::builder().memory("256 MiB").build()?;

    // every record is parsed once for the three results
    let events = Bag::read_json::<Event>(&pattern).shared();
    let (count, types, busiest) = session.compute((
        &events.count(),
        &events
            .map(|event| event.r#type.clone())
            .frequencies()
            .collect(),
        &events
            .map(|event| event.repo.name.clone())
            .frequencies()
            .topk_by(5, |(_, count)| *count),
    ))?;
    println!("{count} events");
    for (kind, count) in types {
        println!("{count:>10} {kind}");
    }
    println!("busiest repositories: {busiest:?}");

    // bag -> dataframe -> Parquet: the schema comes from the record type
    let frame = Bag::read_json::<Event>(&pattern).to_dataframe();
    let report = session.write_parquet(&frame, &target)?;
    println!(
        "{} rows in {} files, {} bytes",
        report.rows,
        report.files.len(),
        report.bytes
    );
    Ok(())
}
