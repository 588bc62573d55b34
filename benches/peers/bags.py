"""bags.py ENGINE logs|gharchive|words DATA BUDGET: the jobs of bags in other libraries."""
import glob
import json
import re
import sys
from collections import Counter

from common import emit, timer

LOG = r"^\d+:\d+ \d+:\d+ \d+:\d+ (\d+\.\d+\.\d+\.\d+):\d+ (\d+\.\d+\.\d+\.\d+):\d+ "
line_format = re.compile(LOG)
JUPYTER = "jupyter/"


def top(pairs, n):
    """The most frequent, of equal ones the smallest first."""
    return sorted(pairs, key=lambda pair: (-pair[-1], pair[:-1]))[:n]


def parse(line):
    found = line_format.match(line)
    return found.groups() if found else None


def words_of(line):
    for word in line.split():
        yield word.rstrip(",.!:;'-\"").lstrip("'\"").lower()


def is_jupyter(event):
    return event["repo"]["name"].startswith(JUPYTER)


def answer_logs(count, pairs):
    return [int(count), [[a, b, int(n)] for a, b, n in top([(a, b, n) for a, b, n in pairs], 10)]]


def answer_gharchive(types, repos, actors):
    listed = lambda pairs, n: [[str(a), int(b)] for a, b in top([tuple(p) for p in pairs], n)]
    return [listed(types, 99), len(repos), listed(repos, 20), [n for _, n in listed(actors, 10)]]


def answer_words(count, total, pairs):
    return [int(count), int(total), [[str(w), int(n)] for w, n in top([tuple(p) for p in pairs], 10)]]


def dask_bag(job, files):
    import dask
    import dask.bag as db

    dask.config.set(scheduler="processes", num_workers=2)
    count = lambda pair: pair[1]
    with timer() as t:
        if job == "logs":
            pairs = db.read_text(files, blocksize=32 << 20).map(parse)
            counts = pairs.filter(lambda pair: pair is not None).frequencies()
            best, n = dask.compute(counts.topk(100, key=count), counts.count())
            answer = answer_logs(n, [(a, b, m) for (a, b), m in best])
        elif job == "gharchive":
            events = db.read_text(files).map(json.loads)
            ours = events.filter(is_jupyter)
            answer = answer_gharchive(*dask.compute(
                events.pluck("type").frequencies(),
                ours.pluck("repo").pluck("name").frequencies(),
                ours.pluck("actor").pluck("login").frequencies(),
            ))
        else:
            counts = db.read_text(files, blocksize=32 << 20).map(words_of).flatten().frequencies()
            best, n, total = dask.compute(counts.topk(100, key=count), counts.count(), counts.pluck(1).sum())
            answer = answer_words(n, total, best)
    emit(t.s, answer)


def pyspark(job, files, budget):
    from pyspark.sql import SparkSession

    memory = f"{max(1024, budget >> 20)}m"  # it does not start with less
    spark = SparkSession.builder.master("local[2]").config("spark.driver.memory", memory)
    spark = spark.config("spark.ui.enabled", "false").config("spark.log.level", "ERROR").getOrCreate()
    context = spark.sparkContext
    add = lambda a, b: a + b
    with timer() as t:
        lines = context.textFile(",".join(files))
        if job == "logs":
            pairs = lines.map(parse).filter(lambda pair: pair is not None)
            counts = pairs.map(lambda pair: (pair, 1)).reduceByKey(add).cache()
            n, best = counts.count(), counts.takeOrdered(100, key=lambda pair: -pair[1])
            answer = answer_logs(n, [(a, b, m) for (a, b), m in best])
        elif job == "gharchive":
            events = lines.map(json.loads).map(lambda e: (e["type"], e["repo"]["name"], e["actor"]["login"]))
            events = events.cache()
            ours = events.filter(lambda e: e[1].startswith(JUPYTER))
            answer = answer_gharchive(*(
                list(bag.map(lambda e, i=i: e[i]).countByValue().items())
                for bag, i in [(events, 0), (ours, 1), (ours, 2)]
            ))
        else:
            counts = lines.flatMap(words_of).map(lambda word: (word, 1)).reduceByKey(add).cache()
            best = counts.takeOrdered(100, key=lambda pair: -pair[1])
            answer = answer_words(counts.count(), counts.values().sum(), best)
    emit(t.s, answer)
    spark.stop()


def polars(job, files):
    import polars as pl

    collect = dict(engine="streaming")
    with timer() as t:
        if job == "logs":
            lines = pl.scan_lines(files, name="l") if hasattr(pl, "scan_lines") else one_column(pl, files)
            groups = lines.select(pl.col("l").str.extract_groups(LOG).alias("g")).unnest("g").drop_nulls()
            counts = groups.group_by("1", "2").len().collect(**collect)
            answer = answer_logs(counts.height, counts.top_k(100, by="len").rows())
        elif job == "gharchive":
            text = pl.String
            schema = {"type": text, "actor": pl.Struct({"login": text}), "repo": pl.Struct({"name": text})}
            events = pl.scan_ndjson(files, schema=schema).select(
                "type",
                pl.col("actor").struct.field("login").alias("a"),
                pl.col("repo").struct.field("name").alias("r"),
            )
            ours = events.filter(pl.col("r").str.starts_with(JUPYTER))
            counts = [events.group_by("type").len(), ours.group_by("r").len(), ours.group_by("a").len()]
            answer = answer_gharchive(*(counted.rows() for counted in pl.collect_all(counts, **collect)))
        else:
            lines = pl.scan_lines(files, name="l") if hasattr(pl, "scan_lines") else one_column(pl, files)
            words = lines.select(pl.col("l").str.split(" ").alias("w")).explode("w")
            words = words.filter(pl.col("w").str.len_bytes() > 0)
            word = pl.col("w").str.strip_chars_end(",.!:;'-\"").str.strip_chars_start("'\"")
            counts = words.select(word.str.to_lowercase().alias("w")).group_by("w").len().collect(**collect)
            answer = answer_words(counts.height, counts["len"].sum(), counts.top_k(100, by="len").rows())
    emit(t.s, answer)


def one_column(pl, files):
    return pl.scan_csv(files, has_header=False, separator="\x01", quote_char=None, new_columns=["l"])


def duckdb(job, files, budget):
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads=2; SET memory_limit='{budget >> 20}MiB'; SET preserve_insertion_order=false")
    text = f"read_csv({files}, columns={{'l':'VARCHAR'}}, delim='\x01', quote='', escape='', header=false, auto_detect=false)"
    with timer() as t:
        if job == "logs":
            con.execute(f"""CREATE TEMP TABLE g AS SELECT m.c c, m.s s, count(*) n FROM
                (SELECT regexp_extract(l, '{LOG}', ['c','s']) m FROM {text}) WHERE m.c <> '' GROUP BY 1, 2""")
            n = con.execute("SELECT count(*) FROM g").fetchone()[0]
            answer = answer_logs(n, con.execute("SELECT c, s, n FROM g ORDER BY n DESC LIMIT 100").fetchall())
        elif job == "gharchive":
            columns = "{type:'VARCHAR', actor:'STRUCT(login VARCHAR)', repo:'STRUCT(name VARCHAR)'}"
            con.execute(f"""CREATE TEMP TABLE g AS SELECT type, CASE WHEN r LIKE 'jupyter/%' THEN r END r,
                CASE WHEN r LIKE 'jupyter/%' THEN a END a, count(*) n FROM (SELECT type, actor.login a, repo.name r
                FROM read_json({files}, format='newline_delimited', columns={columns})) GROUP BY ALL""")
            counted = lambda key: con.execute(
                f"SELECT {key}, sum(n) FROM g WHERE {key} IS NOT NULL GROUP BY 1").fetchall()
            answer = answer_gharchive(counted("type"), counted("r"), counted("a"))
        else:
            con.execute(f"""CREATE TEMP TABLE g AS SELECT lower(ltrim(rtrim(w, ',.!:;''-"'), '''"')) w, count(*) n
                FROM (SELECT unnest(string_split(l, ' ')) w FROM {text}) WHERE w <> '' GROUP BY 1""")
            n, total = con.execute("SELECT count(*), sum(n) FROM g").fetchone()
            answer = answer_words(n, total, con.execute("SELECT w, n FROM g ORDER BY n DESC LIMIT 100").fetchall())
    emit(t.s, answer)


def python(job, files):
    with timer() as t:
        if job != "logs":
            sys.exit("plain Python does the logs only")
        counts = Counter()
        for file in files:
            with open(file) as lines:
                counts.update(pair for pair in map(parse, lines) if pair)
        answer = answer_logs(len(counts), [(a, b, n) for (a, b), n in counts.most_common(100)])
    emit(t.s, answer)


if __name__ == "__main__":
    engine, job, data, budget = *sys.argv[1:4], int(sys.argv[4])
    files = sorted(glob.glob(f"{data}/*"))
    if engine == "dask":
        dask_bag(job, files)
    elif engine == "pyspark":
        pyspark(job, files, budget)
    elif engine == "polars":
        polars(job, files)
    elif engine == "duckdb":
        duckdb(job, files, budget)
    elif engine == "python":
        python(job, files)
    else:
        sys.exit(f"no engine {engine}")
