"""Writes the Parquet files of this folder, each with what a reader should find in it as JSON lines.

    python3 make.py        (pyarrow 26, duckdb 2; the files are committed, this is how they came to be)
"""

import datetime as dt
import json
import struct

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def rows(name, records):
    with open(name + ".jsonl", "w") as out:
        for record in records:
            out.write(json.dumps(record) + "\n")


def table(name, columns, records, **options):
    pq.write_table(pa.table(columns), name + ".parquet", **options)
    rows(name, records)


# names with dots, beside names that they could be taken for
table(
    "dots",
    {
        "a.b": pa.array([1, 2]),
        "a": pa.array([{"b": 10, "b.c": 11}, {"b": 20, "b.c": 21}]),
        "l.x": pa.array([[{"y.z": "p"}], []], pa.list_(pa.struct([("y.z", pa.string())]))),
        "c": pa.array([3, 4]),
    },
    [
        {"a.b": 1, "a": {"b": 10, "b.c": 11}, "l.x": [{"y.z": "p"}], "c": 3},
        {"a.b": 2, "a": {"b": 20, "b.c": 21}, "l.x": [], "c": 4},
    ],
)

# times that nanoseconds of 64 bits do not hold, also in a list and in an object
far = [dt.datetime(1000, 1, 1), dt.datetime(2000, 1, 1, 1, 2, 3), dt.datetime(9999, 12, 31, 23, 59, 59)]
times = pa.array(far, pa.timestamp("us"))
text = [value.isoformat() for value in far]
table(
    "far",
    {
        "t": times,
        "l": pa.array([[value] for value in far], pa.list_(pa.timestamp("us"))),
        "k": pa.array([1, 2, 3]),
    },
    [{"t": t, "l": [t], "k": k} for t, k in zip(text, [1, 2, 3])],
    use_deprecated_int96_timestamps=True,
    store_schema=False,
)
# times of 96 bits that have nanoseconds
near = [1_577_836_800_123_456_789, -1]
table(
    "near",
    {"t": pa.array(near, pa.timestamp("ns"))},
    [{"t": "2020-01-01T00:00:00.123456789"}, {"t": "1969-12-31T23:59:59.999999999"}],
    use_deprecated_int96_timestamps=True,
    store_schema=False,
)

# dictionaries, of which every row group has its own
pieces = [["b", "a", "b"], ["c", "a", None]]
values = pa.chunked_array([pa.array(piece).dictionary_encode() for piece in pieces])
table(
    "dictionaries",
    {"k": values, "v": pa.array([1, 2, 3, 4, 5, 6])},
    [{"k": k, "v": v} if k else {"v": v} for k, v in zip(sum(pieces, []), range(1, 7))],
    row_group_size=3,
)

# a column of nulls in one file of several
table("nulls-1", {"x": pa.nulls(2), "n": pa.array([1, 2])}, [{"n": 1}, {"n": 2}])
table("nulls-2", {"x": pa.array(["s", None]), "n": pa.array([3, 4])}, [{"x": "s", "n": 3}, {"n": 4}])

# a codec
table("brotli", {"n": pa.array([1, 2, 3])}, [{"n": n} for n in (1, 2, 3)], compression="brotli")

# what is said beside the types
duckdb.sql(
    """copy (select '{"a": [1, "x"]}'::json as j, '0e0d3c5b-8f3a-4f6e-9c1b-2a7d5e6f7a8b'::uuid as u)
       to 'annotated.parquet'"""
)
metadata = pa.schema([("n", pa.int64())], {"made by": "a test"})
pq.write_table(pa.table({"n": [1]}, metadata), "said.parquet")


def resized(name, source, change):
    """The file with a footer that is changed byte by byte."""
    data = open(source + ".parquet", "rb").read()
    (size,) = struct.unpack("<I", data[-8:-4])
    body, footer = data[: -8 - size], data[-8 - size : -8]
    footer = change(footer)
    with open(name + ".parquet", "wb") as out:
        out.write(body + footer + struct.pack("<I", len(footer)) + b"PAR1")


# a footer that says 0 rows: version, schema, then field 3, the number of rows (3 as 0x06)
def no_rows(footer):
    at = footer.rindex(b"\x16\x06\x19\x1c")
    return footer[: at + 1] + b"\x00" + footer[at + 2 :]


resized("no-rows", "brotli", no_rows)
# a plain footer whose columns are encrypted
import base64
import pyarrow.parquet.encryption as pe


class Kms(pe.KmsClient):
    def __init__(self, _):
        pe.KmsClient.__init__(self)

    def wrap_key(self, key, _):
        return base64.b64encode(key)

    def unwrap_key(self, key, _):
        return base64.b64decode(key)


factory = pe.CryptoFactory(Kms)
for name, plain in [("encrypted-plain-footer", True), ("encrypted", False)]:
    config = pe.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["n"]}, plaintext_footer=plain
    )
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    table = pa.table({"n": [1, 2], "m": [3, 4]})
    with pq.ParquetWriter(name + ".parquet", table.schema, encryption_properties=properties) as w:
        w.write_table(table)

# a page of 600 MiB in a small file: a dictionary of one text
value = "x" * (48 << 20)
pq.write_table(pa.table({"n": [1], "big": [value]}), "big-value.parquet", compression="zstd")
