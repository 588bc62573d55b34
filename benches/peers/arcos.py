"""arcos.py ENGINE FILE BUDGET: sums of morphine equivalents by year, state and county."""
import os
import sys

from common import emit, rounded, timer

engine, path, budget = sys.argv[1], sys.argv[2], int(sys.argv[3])
USED = ["TRANSACTION_DATE", "CALC_BASE_WT_IN_GM", "MME_Conversion_Factor", "BUYER_STATE", "BUYER_COUNTY"]
KEYS = ["year", "BUYER_STATE", "BUYER_COUNTY"]


def answer(count, total, weighted):
    return [int(count), rounded(total), rounded(weighted)]


def with_year(frame):
    frame["year"] = frame.TRANSACTION_DATE.str.slice(4, 8).astype("int32")
    frame["grams"] = frame.CALC_BASE_WT_IN_GM * frame.MME_Conversion_Factor
    return frame


if engine == "polars":
    import polars as pl

    with timer() as t:
        r = (
            pl.scan_csv(path, separator="\t", schema_overrides={"TRANSACTION_DATE": pl.String})
            .select(
                pl.col("TRANSACTION_DATE").str.slice(4, 4).cast(pl.Int32).alias("year"),
                "BUYER_STATE",
                "BUYER_COUNTY",
                (pl.col("CALC_BASE_WT_IN_GM") * pl.col("MME_Conversion_Factor")).alias("grams"),
            )
            .group_by(KEYS)
            .agg(pl.col("grams").sum())
            .collect(engine="streaming")
        )
    emit(t.s, answer(r.height, r["grams"].sum(), (r["grams"] * r["year"]).sum()))
elif engine == "duckdb":
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads=2; SET memory_limit='{budget >> 20}MiB'")
    with timer() as t:
        rows = con.execute(
            f"""SELECT cast(substr(TRANSACTION_DATE, 5, 4) AS INT) y, BUYER_STATE, BUYER_COUNTY,
                sum(CALC_BASE_WT_IN_GM * MME_Conversion_Factor)
                FROM read_csv('{path}', delim='\t', header=true, types={{'TRANSACTION_DATE': 'VARCHAR'}})
                GROUP BY ALL"""
        ).fetchall()
    emit(t.s, answer(len(rows), sum(row[3] for row in rows), sum(row[3] * row[0] for row in rows)))
elif engine == "dask":
    import dask
    import dask.dataframe as dd

    dask.config.set(scheduler="threads", num_workers=2)
    types = {"TRANSACTION_DATE": "string", "CALC_BASE_WT_IN_GM": "float64", "MME_Conversion_Factor": "float64"}
    with timer() as t:
        frame = dd.read_csv(path, sep="\t", usecols=USED, dtype=types, blocksize="64MB")
        r = with_year(frame).groupby(KEYS).grams.sum().compute()
    years = r.index.get_level_values(0).astype("float64").values
    emit(t.s, answer(len(r), r.sum(), (r.values * years).sum()))
    sys.stdout.flush()
    os._exit(0)
elif engine == "pandas-chunked":
    import pandas as pd

    with timer() as t:
        chunks = pd.read_csv(path, sep="\t", usecols=USED, dtype={"TRANSACTION_DATE": str}, chunksize=500_000)
        parts = [with_year(frame).groupby(KEYS).grams.sum() for frame in chunks]
        r = pd.concat(parts).groupby(level=[0, 1, 2]).sum()
    years = r.index.get_level_values(0).astype("float64").values
    emit(t.s, answer(len(r), r.sum(), (r.values * years).sum()))
else:
    sys.exit(f"no engine {engine}")
