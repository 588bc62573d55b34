"""queries.py ENGINE JOB CASE DATA BUDGET: one SQL query over Parquet files.   queries.py check FILE.csv"""
import csv
import glob
import os
import sys
from pathlib import Path

from common import emit, rounded, timer

HERE = Path(__file__).resolve().parent
TPCH = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
# the questions of the h2o group-by benchmark
H2O = {
    "q1": "SELECT id1, sum(v1) AS v1 FROM x GROUP BY id1",
    "q2": "SELECT id1, id2, sum(v1) AS v1 FROM x GROUP BY id1, id2",
    "q3": "SELECT id3, sum(v1) AS v1, avg(v3) AS v3 FROM x GROUP BY id3",
    "q4": "SELECT id4, avg(v1) AS v1, avg(v2) AS v2, avg(v3) AS v3 FROM x GROUP BY id4",
    "q5": "SELECT id6, sum(v1) AS v1, sum(v2) AS v2, sum(v3) AS v3 FROM x GROUP BY id6",
    "q6": "SELECT id4, id5, median(v3) AS m, stddev(v3) AS s FROM x GROUP BY id4, id5",
    "q7": "SELECT id3, max(v1) - min(v2) AS r FROM x GROUP BY id3",
    "q8": "SELECT id6, v3 FROM (SELECT id6, v3, row_number() OVER (PARTITION BY id6 ORDER BY v3 DESC) AS n "
          "FROM x WHERE v3 IS NOT NULL) AS t WHERE n <= 2",
    "q9": "SELECT id2, id4, pow(corr(v1, v2), 2) AS r2 FROM x GROUP BY id2, id4",
    "q10": "SELECT id1, id2, id3, id4, id5, id6, sum(v3) AS v3, count(*) AS n FROM x "
           "GROUP BY id1, id2, id3, id4, id5, id6",
    "sort": "SELECT * FROM x ORDER BY v3, id3, id6, id1, id2, id4, id5, v1, v2",
}


def text(job, case):
    return (HERE / "tpch" / f"{case}.sql").read_text() if job == "tpch" else H2O[case]


def tables(job, data):
    if job == "h2o":
        return {"x": f"{data}/*.parquet"}
    return {name: f"{data}/{name}.parquet" for name in TPCH}


def answer(rows):
    """How many rows, and the sum of all that is a number in them."""
    count, total = 0, 0.0
    for row in rows:
        count += 1
        for value in row:
            try:
                total += float(value)
            except (TypeError, ValueError):
                pass
    return [count, rounded(total, 6)]


def main():
    if sys.argv[1] == "check":
        files = [sys.argv[2]] if os.path.isfile(sys.argv[2]) else sorted(glob.glob(f"{sys.argv[2]}/*.csv"))

        def rows():
            for name in files:
                with open(name, newline="") as file:
                    lines = csv.reader(file)
                    next(lines)
                    yield from lines

        return emit(0, answer(rows()))
    engine, job, case, data, out, budget = *sys.argv[1:6], int(sys.argv[6])
    target = f"{out}/rows.csv"
    if engine == "duckdb":
        import duckdb

        con = duckdb.connect()
        con.execute(f"SET threads=2; SET memory_limit='{budget >> 20}MiB'; SET temp_directory='{out}'")
        for name, files in tables(job, data).items():
            con.execute(f"CREATE VIEW {name} AS SELECT * FROM '{files}'")
        with timer() as t:
            con.execute(f"COPY ({text(job, case)}) TO '{target}' (FORMAT csv, HEADER)")
    elif engine == "polars":
        import polars as pl

        context = pl.SQLContext({name: pl.scan_parquet(files) for name, files in tables(job, data).items()})
        with timer() as t:
            context.execute(text(job, case)).sink_csv(target, engine="streaming")
    elif engine == "datafusion":
        import datafusion

        config = datafusion.SessionConfig().with_target_partitions(2)
        runtime = datafusion.RuntimeEnvBuilder().with_disk_manager_os().with_fair_spill_pool(budget)
        context = datafusion.SessionContext(config, runtime)
        for name, files in tables(job, data).items():
            context.register_parquet(name, os.path.dirname(files) if "*" in files else files)
        with timer() as t:
            context.sql(text(job, case)).write_csv(target, with_header=True)
    emit(t.s, None)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
