"""differ.py FLAGSTONE [COUNT] [SEED] [--windows]: random SQL queries, answered by flagstone and by DuckDB.

Every difference is printed with its query; exit code 1 when there are any. Rows are compared as a multiset,
or in their order where the query gives all of it.
"""
import datetime
import decimal
import json
import math
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import duckdb

TYPES = {"i": "BIGINT", "j": "INTEGER", "s": "VARCHAR", "x": "DOUBLE", "d": "DATE", "b": "BOOLEAN"}


def make(con, name, rows, rng, where):
    con.execute(f"CREATE TABLE {name} ({', '.join(f'{c} {t}' for c, t in TYPES.items())})")
    maybe = lambda value: None if rng.random() < 0.12 else value
    data = [
        (
            maybe(rng.randrange(-4, 9)),
            maybe(rng.randrange(0, 50)),
            maybe(rng.choice(["", "a", "b", "ab", "Abc", "x y", "zz", "a%", "é"])),
            maybe(rng.choice([0.0, -0.5, 1.25, 2.5, 1e9, -3.75, 0.1])),
            maybe(datetime.date(2020, 1, 1) + datetime.timedelta(days=rng.randrange(0, 900))),
            maybe(rng.random() < 0.5),
        )
        for _ in range(rows)
    ]
    if data:
        con.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?)", data)
    path = where / f"{name}.parquet"
    con.execute(f"COPY {name} TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    return path


class Maker:
    def __init__(self, rng, windows):
        self.rng, self.windows = rng, windows

    def pick(self, *choices):
        return self.rng.choice(choices)

    def number(self, t, depth=0):
        p = self.pick
        if depth > 1 or self.rng.random() < 0.5:
            return p(f"{t}.i", f"{t}.j", f"{t}.x", "2", "0.5")
        a, b = self.number(t, depth + 1), self.number(t, depth + 1)
        return p(
            f"({a} + {b})", f"({a} - {b})", f"({a} * 3)", f"abs({a})", f"coalesce({a}, 0)",
            f"CASE WHEN {self.condition(t, depth + 1)} THEN {a} ELSE {b} END", f"length({t}.s)",
            f"nullif({t}.i, 2)", f"extract(year FROM {t}.d)", f"extract(month FROM {t}.d)",
        )

    def text(self, t):
        p = self.pick
        return p(
            f"{t}.s", f"upper({t}.s)", f"({t}.s || '-')", f"coalesce({t}.s, 'none')", f"substring({t}.s, 1, 1)",
            f"replace({t}.s, 'a', 'c')", f"concat({t}.s, 'q')", f"trim({t}.s)",
        )

    def value(self, t):
        return self.pick(self.number(t), self.text(t), f"{t}.d", f"{t}.b", f"{t}.i", f"{t}.s")

    def condition(self, t, depth=0):
        p = self.pick
        if depth < 2 and self.rng.random() < 0.35:
            a, b = self.condition(t, depth + 1), self.condition(t, depth + 1)
            return p(f"({a} AND {b})", f"({a} OR {b})", f"(NOT {a})")
        return p(
            f"{t}.i > {self.rng.randrange(-3, 8)}", f"{t}.x <= 1.25", f"{t}.s LIKE 'a%'", f"{t}.s IN ('a', 'zz')",
            f"{t}.i IS NULL", f"{t}.s IS NOT NULL", f"{t}.j BETWEEN 5 AND 30", f"{t}.b", f"{t}.d < DATE '2021-03-01'",
            f"{t}.i <> {t}.j", f"{t}.s = 'ab'", f"{t}.i IN (1, 2, NULL)", f"{t}.i NOT IN (1, 2)",
            f"{t}.x IS DISTINCT FROM 0.1",
        )

    def aggregate(self, t):
        p = self.pick
        n = p(f"{t}.i", f"{t}.j")
        made = p(
            "count(*)", f"count({t}.s)", f"sum({n})", f"avg({n})", f"avg({t}.x)", f"min({t}.s)", f"max({t}.d)",
            f"min({t}.x)", f"max({n})", f"count(DISTINCT {t}.s)", f"sum(DISTINCT {n})", f"stddev({n})",
            f"var_pop({t}.j)", f"bool_and({t}.b)", f"bool_or({t}.b)", f"median({t}.j)", f"max({t}.b)",
        )
        if self.rng.random() < 0.2 and "DISTINCT" not in made:
            made += f" FILTER (WHERE {self.condition(t)})"
        return made

    def source(self):
        """FROM and WHERE, and the names of its tables."""
        p = self.pick
        where = f" WHERE {self.condition('t')}" if self.rng.random() < 0.6 else ""
        kind = p("one", "one", "one", "join", "join", "sub", "in", "exists", "scalar", "cte", "three")
        if kind == "join":
            how = p("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN")
            on = p("t.i = u.i", "t.s = u.s", "t.i = u.i AND t.s = u.s", "t.i = u.i AND t.x < u.x", "t.i + 1 = u.i",
                   "t.j = u.i", "t.d = u.d AND t.b = u.b")
            on = "" if how == "CROSS JOIN" else f" ON {on}"
            where = p(where, f" WHERE {self.condition('u')}", where)
            if how == "CROSS JOIN":
                where = " WHERE t.i = 1 AND u.i = 2"
            return f"t {how} u{on}{where}", ["t", "u"]
        if kind == "three":
            one = p("t.i = u.i", "t.s = u.s", "t.j = u.j", "t.i = u.i AND t.s = u.s")
            two = p("v.i = u.i", "v.s = t.s", "v.j = t.j", "v.i = t.i AND v.b = u.b", "v.i = t.i + u.i")
            text = p(f"t JOIN u ON {one} JOIN v ON {two}{where or ' WHERE true'}",
                     f"t, u, v WHERE {one} AND {two} AND {self.condition(p('t', 'u', 'v'))}",
                     f"t LEFT JOIN u ON {one} JOIN v ON v.j = t.j WHERE {self.condition('v')}")
            if self.rng.random() < 0.3:
                text += f" AND t.i {p('IN', 'NOT IN')} (SELECT w.i FROM v AS w WHERE w.i IS NOT NULL AND w.x < 1.0)"
            return text, ["t", "u", "v"]
        if kind == "sub":
            return f"(SELECT * FROM u WHERE {self.condition('u')}) AS t{where}", ["t"]
        joined = " AND " if where else " WHERE "
        if kind == "in":
            few = p("NOT IN", "IN", "IN")
            inner = "u.i IS NOT NULL AND " if few == "NOT IN" and self.rng.random() < 0.7 else ""
            return f"t{where}{joined}t.i {few} (SELECT u.i FROM u WHERE {inner}{self.condition('u')})", ["t"]
        if kind == "exists":
            more = p("", " AND u.x > t.x", f" AND {self.condition('u')}")
            return f"t{where}{joined}{p('', 'NOT ')}EXISTS (SELECT 1 FROM u WHERE u.i = t.i{more})", ["t"]
        if kind == "scalar":
            inner = p("SELECT avg(u.x) FROM u", "SELECT max(u.i) FROM u", "SELECT min(u.j) FROM u WHERE u.s = t.s")
            return f"t{where}{joined}t.x {p('>', '<')} ({inner})", ["t"]
        return f"t{where}", ["t"]

    def query(self, top=True):
        p, rng = self.pick, self.rng
        source, tables = self.source()
        t = rng.choice(tables)
        if rng.random() < 0.45:
            keys = [self.pick(f"{t}.i", f"{t}.s", f"{t}.b", f"{t}.d", self.text(t), f"{t}.x") for _ in range(rng.randrange(0, 3))]
            results = [self.aggregate(rng.choice(tables)) for _ in range(rng.randrange(1, 4))]
            items = keys + results
            text = f"SELECT {', '.join(f'{item} AS c{n}' for n, item in enumerate(items))} FROM {source}"
            if keys:
                text += f" GROUP BY {', '.join(str(n + 1) for n in range(len(keys)))}"
                if rng.random() < 0.25:
                    text += f" HAVING count(*) > {rng.randrange(0, 4)}"
        else:
            items = [self.value(rng.choice(tables)) for _ in range(rng.randrange(1, 5))]
            # of joined rows the keys of one table would leave the order open
            if self.windows and tables == ["t"] and rng.random() < 0.4:
                order = f"{t}.i, {t}.j, {t}.x, {t}.s, {t}.d, {t}.b"
                over = f"({p('', f'PARTITION BY {t}.s ', f'PARTITION BY {t}.i ')}ORDER BY {order})"
                items.append(p("row_number()", "rank()", "dense_rank()", f"sum({t}.i)", f"lag({t}.j)", f"count({t}.s)",
                               f"lead({t}.i, 2)", f"max({t}.j)", f"first_value({t}.s)") + f" OVER {over}")
            distinct = p("", "", "", "DISTINCT ")
            text = f"SELECT {distinct}{', '.join(f'{item} AS c{n}' for n, item in enumerate(items))} FROM {source}"
        ordered = False
        if top and rng.random() < 0.3:
            keys = ", ".join(f"{n + 1} {p('ASC', 'DESC')} {p('NULLS FIRST', 'NULLS LAST')}" for n in range(len(items)))
            text += f" ORDER BY {keys}"
            if rng.random() < 0.6:
                text += f" LIMIT {rng.randrange(0, 30)}" + (f" OFFSET {rng.randrange(0, 10)}" if rng.random() < 0.3 else "")
            ordered = True
        elif top and rng.random() < 0.15:
            other = Maker(rng, False)
            columns = ", ".join(["t.i AS c0", "t.s AS c1"])
            one, two = (f"SELECT {columns} FROM {other.simple()}" for _ in range(2))
            text = f"{one} {p('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT')} {two}"
            items = ["t.i", "t.s"]
        return text, len(items), ordered

    def simple(self):
        return f"t WHERE {self.condition('t')}"


def plain(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float, decimal.Decimal)):
        value = float(value)
        return None if math.isnan(value) or math.isinf(value) else float("%.9g" % (0.0 if value == 0 else value))
    return str(value)


def main():
    windows = "--windows" in sys.argv
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    program, count, seed = words[0], int(words[1]) if len(words) > 1 else 200, int(words[2]) if len(words) > 2 else 1
    rng = random.Random(seed)
    con = duckdb.connect()
    different, refused, both = 0, Counter(), 0
    with tempfile.TemporaryDirectory() as where:
        paths = {name: make(con, name, rows, rng, Path(where)) for name, rows in (("t", 3000), ("u", 40), ("v", 25))}
        for number in range(count):
            text, width, ordered = Maker(rng, windows).query()
            try:
                rows = con.execute(text).fetchall()
            except duckdb.Error:
                continue
            arguments = [word for name, path in paths.items() for word in ("--table", f"{name}={path}")]
            budget = rng.choice(["64MiB", "256MiB"])
            command = [program, "query", text, *arguments, "--format", "json", "--memory", budget]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if done.returncode:
                message = done.stderr.strip().splitlines()[-1][:200]
                refused[message] += 1
                if refused[message] == 1:
                    print(f"REFUSED {number}: {message}\n  {text}", flush=True)
                continue
            got = [json.loads(line) for line in done.stdout.splitlines()]
            got = [tuple(plain(row.get(f"c{n}")) for n in range(width)) for row in got]
            rows = [tuple(plain(value) for value in row) for row in rows]
            both += 1
            equal = got == rows if ordered else Counter(got) == Counter(rows)
            if not equal:
                different += 1
                print(f"DIFFERENT {number}: {len(got)} and {len(rows)} rows\n  {text}", flush=True)
                a, b = Counter(got), Counter(rows)
                print("  ours only", list((a - b).items())[:3], "\n  DuckDB only", list((b - a).items())[:3], flush=True)
    print(f"{both} answered by both, {different} different, {sum(refused.values())} refused")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
