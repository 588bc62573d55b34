"""convert.py ENGINE full|five DATA OUT BUDGET: .json.gz to Parquet.   convert.py check OUT"""
import glob
import json
import os
import sys

from common import emit, timer

FIVE = {"id": "id", "type": "type", "actor.login": "actor.login", "repo.name": "repo.name", "created_at": "created_at"}


def check(out):
    """Rows, pushes, and sums over columns that every engine has, flat or nested."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pushes = ids = logins = repos = 0
    files = [out] if os.path.isfile(out) else sorted(glob.glob(f"{out}/**/*.parquet", recursive=True))
    for file in files:
        parquet = pq.ParquetFile(file)
        flat = "actor.login" in parquet.schema_arrow.names
        wanted = list(FIVE) if flat else ["id", "type", "actor", "repo"]
        for i in range(parquet.num_row_groups):
            table = parquet.read_row_group(i, columns=None if flat else wanted)

            def column(name, field):
                return table[f"{name}.{field}"] if flat else pc.struct_field(table[name], field)

            rows += table.num_rows
            pushes += pc.sum(pc.equal(table["type"].cast("string"), "PushEvent")).as_py() or 0
            ids += pc.sum(table["id"].cast("int64")).as_py() or 0
            logins += pc.sum(pc.binary_length(column("actor", "login").cast("string"))).as_py() or 0
            repos += pc.sum(pc.binary_length(column("repo", "name").cast("string"))).as_py() or 0
    emit(0, [rows, pushes, ids, logins, repos])


def main():
    if sys.argv[1] == "check":
        return check(sys.argv[2])
    engine, case, data, out, budget = *sys.argv[1:5], int(sys.argv[5])
    files = sorted(glob.glob(f"{data}/*.json.gz"))
    os.makedirs(out)
    if engine == "duckdb":
        import duckdb

        con = duckdb.connect()
        con.execute(f"SET threads=2; SET memory_limit='{budget >> 20}MiB'; SET preserve_insertion_order=false")
        target = f"TO '{out}/o.parquet' (FORMAT parquet, COMPRESSION zstd)"
        source = f"read_json('{data}/*.json.gz', format='newline_delimited'"
        with timer() as t:
            if case == "full":
                con.execute(f"COPY (SELECT * FROM {source})) {target}")
            else:
                columns = "{id:'VARCHAR', type:'VARCHAR', actor:'STRUCT(login VARCHAR)', repo:'STRUCT(name VARCHAR)', created_at:'VARCHAR'}"
                select = 'id, type, actor.login AS "actor.login", repo.name AS "repo.name", created_at'
                con.execute(f"COPY (SELECT {select} FROM {source}, columns={columns})) {target}")
    elif engine == "polars":
        import polars as pl

        with timer() as t:
            if case == "full":
                frame = pl.scan_ndjson(files, infer_schema_length=20_480)
            else:
                text = pl.String
                schema = {"id": text, "type": text, "actor": pl.Struct({"login": text}), "repo": pl.Struct({"name": text}), "created_at": text}
                frame = pl.scan_ndjson(files, schema=schema).select(
                    "id", "type",
                    pl.col("actor").struct.field("login").alias("actor.login"),
                    pl.col("repo").struct.field("name").alias("repo.name"),
                    "created_at",
                )
            frame.sink_parquet(f"{out}/o.parquet", compression="zstd", engine="streaming")
    elif engine == "dask":
        import dask
        import dask.bag as db

        dask.config.set(scheduler="processes", num_workers=2)
        with timer() as t:
            bag = db.read_text(files).map(json.loads)
            if case == "five":
                bag = bag.map(flat)
            # a schema for each file: a bag has no way to agree on one
            parts = [dask.delayed(write)(part, f"{out}/{i:05}.parquet") for i, part in enumerate(bag.to_delayed())]
            dask.compute(*parts)
    else:
        sys.exit(f"no engine {engine}")
    emit(t.s, None)


def flat(event):
    return {
        "id": event["id"], "type": event["type"], "actor.login": event["actor"]["login"],
        "repo.name": event["repo"]["name"], "created_at": event["created_at"],
    }


def write(records, path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(records)), path, compression="zstd")


if __name__ == "__main__":
    main()
