"""in_memory.py ENGINE CASE: jobs on arrays that are in memory already; the time is that of the job alone, the second time."""
import os
import sys

os.environ["OPENBLAS_NUM_THREADS"] = "2"
import numpy as np  # noqa: E402

from common import emit, rounded, timer  # noqa: E402


def matrix(rows, columns, seed):
    """The numbers of the example `in_memory` of the array crate."""
    at = np.arange(rows * columns, dtype=np.uint32)
    at += np.uint32(seed)
    at *= np.uint32(2_654_435_761)
    at >>= np.uint32(8)
    return (at.astype(np.float64) / 16_777_216.0 - 0.5).reshape(rows, columns)


def main():
    engine, case = sys.argv[1:3]
    if engine != "numpy":
        sys.exit(f"no engine {engine}")
    shapes = {"product": (4000, 4000), "gram": (100_000, 1000), "singular": (1_000_000, 100),
              "median": (200_000, 100), "sort": (200_000, 100)}
    x = matrix(*shapes.get(case, (8192, 8192)), 1)
    y = matrix(*shapes.get(case, (8192, 8192)), 2) if case in ("product", "chain") else None
    job = {
        "sum": lambda: x.sum(),
        "mean": lambda: x.mean(0),
        "chain": lambda: (np.sqrt(np.abs(x * y + x)) - y).sum(),
        "scale": lambda: ((x - x.mean(0)) / x.std(0)).max(),
        "transpose": lambda: (x + x.T).sum(),
        "product": lambda: x @ y,
        "gram": lambda: x.T @ x,
        "singular": lambda: np.linalg.svd(x, compute_uv=False),
        "median": lambda: np.median(x, axis=0),
        "sort": lambda: np.sort(x, axis=0)[::1000],
    }[case]
    job()
    with timer() as t:
        result = job()
    emit(t.s, rounded(float(np.asarray(result).sum()), 6))


if __name__ == "__main__":
    main()
