//! Drug shipments in the shape of the ARCOS table: 29 tab-separated columns, wide text, few needed.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::random::{Random, Weighted};
use crate::write::{TextFile, write_files};

const HEADER: &str = "REPORTER_DEA_NO\tREPORTER_BUS_ACT\tREPORTER_NAME\tREPORTER_ADDRESS1\t\
    REPORTER_CITY\tREPORTER_STATE\tBUYER_DEA_NO\tBUYER_BUS_ACT\tBUYER_NAME\tBUYER_ADDRESS1\t\
    BUYER_CITY\tBUYER_STATE\tBUYER_ZIP\tBUYER_COUNTY\tTRANSACTION_CODE\tDRUG_CODE\tNDC_NO\t\
    DRUG_NAME\tQUANTITY\tMeasure\tTRANSACTION_DATE\tCALC_BASE_WT_IN_GM\tDOSAGE_UNIT\t\
    TRANSACTION_ID\tProduct_Name\tIngredient_Name\tMME_Conversion_Factor\tCombined_Labeler_Name\t\
    Reporter_family\n";
const ROWS_PER_BATCH: usize = 5_000;
const COUNTIES_PER_STATE: usize = 60;
const STATES: [&str; 50] = [
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS",
    "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY",
    "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV",
    "WI", "WY",
];
const ACTIVITIES: [&str; 6] = [
    "DISTRIBUTOR",
    "RETAIL PHARMACY",
    "CHAIN PHARMACY",
    "PRACTITIONER",
    "HOSP/CLINIC",
    "MANUFACTURER",
];
const FACTORS: [&str; 5] = ["1.0", "1.5", "0.15", "4.0", "0.1"];

pub(crate) fn generate(size: u64, seed: u64, dir: &Path, threads: usize) -> Result<Vec<PathBuf>> {
    let pools = Pools::new(seed);
    let file = TextFile {
        name: "arcos.tsv".to_owned(),
        header: HEADER,
        bytes: size.max(HEADER.len() as u64 + 1),
        gzip: false,
    };
    write_files(dir, &[file], threads, &|_, batch, lines| {
        let mut random = Random::new(seed ^ 0x6172, batch as u64 + 1);
        (0..ROWS_PER_BATCH).for_each(|_| pools.row(&mut random, lines));
    })
}

/// The values that columns repeat.
struct Pools {
    reporters: Vec<(String, String)>,
    buyers: Vec<(String, String)>,
    cities: Vec<String>,
    products: Vec<String>,
    ingredients: Vec<String>,
    labelers: Vec<String>,
    families: Vec<String>,
    counties: Weighted,
}

impl Pools {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x6172, 0);
        let mut pool = |count: usize, width: usize| -> Vec<String> {
            (0..count)
                .map(|i| {
                    format!(
                        "{} {}",
                        random.letters(width - 1).to_ascii_uppercase(),
                        i % 97
                    )
                })
                .collect()
        };
        let pairs = |a: Vec<String>, b: Vec<String>| a.into_iter().zip(b).collect();
        Pools {
            reporters: pairs(pool(500, 24), pool(500, 30)),
            buyers: pairs(pool(20_000, 22), pool(20_000, 28)),
            cities: pool(3_000, 10),
            products: pool(800, 40),
            ingredients: pool(12, 30),
            labelers: pool(60, 30),
            families: pool(40, 24),
            counties: Weighted::zipf(STATES.len() * COUNTIES_PER_STATE, 0.7),
        }
    }

    fn row(&self, random: &mut Random, lines: &mut Vec<u8>) {
        let reporter = random.below(self.reporters.len() as u64) as usize;
        let buyer = random.below(self.buyers.len() as u64) as usize;
        let county = self.counties.draw(random);
        let state = STATES[county / COUNTIES_PER_STATE];
        let (year, month, day) = (
            random.between(2006, 2013),
            random.between(1, 13),
            random.between(1, 29),
        );
        // a gamma-like weight: the sum of two exponentials, with four decimals
        let exponential = |random: &mut Random| -(1.0 - random.unit()).ln();
        let weight = 1.5 * (exponential(random) + exponential(random));
        // writing to memory cannot fail
        let _ = write!(
            lines,
            "RD{reporter:07}\t{}\t{}\t{}\t{}\t{}\tBB{buyer:07}\t{}\t{}\t{}\t{}\t{state}\t{}\t\
             {state}COUNTY{:02}\t{}\t{}\t{}\t",
            random.pick(&ACTIVITIES),
            self.reporters[reporter].0,
            self.reporters[reporter].1,
            random.pick(&self.cities),
            random.pick(&STATES),
            random.pick(&ACTIVITIES),
            self.buyers[buyer].0,
            self.buyers[buyer].1,
            random.pick(&self.cities),
            random.between(10_000, 99_999),
            county % COUNTIES_PER_STATE,
            random.pick(&["S", "P", "R"]),
            random.between(9_000, 9_999),
            1_000_000_000 + random.wide_below(9_000_000_000),
        );
        let _ = writeln!(
            lines,
            "{}\t{}.0\t{}\t{month:02}{day:02}{year}\t{weight:.4}\t{}.0\t{}\t{}\t{}\t{}\t{}\t{}",
            random.pick(&["OXYCODONE", "HYDROCODONE"]),
            random.between(1, 100),
            random.pick(&["TAB", "PTCH", "ML"]),
            100 * random.between(1, 50),
            random.between(1, 1_000_000_000),
            random.pick(&self.products),
            random.pick(&self.ingredients),
            random.pick(&FACTORS),
            random.pick(&self.labelers),
            random.pick(&self.families),
        );
    }
}
