"""scheduler.py ENGINE map|chain|tree|stencil COUNT: trivial tasks on two workers."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
os.environ["PYTHONPATH"] = HERE

from common import emit, timer  # noqa: E402
from empty_tasks import add, add3, constant, increment  # noqa: E402


def graph(shape, count):
    from dask._task_spec import Task, TaskRef

    g = {}

    def task(key, function, *arguments):
        g[key] = Task(key, function, *arguments)
        return key

    if shape == "map":
        keys = [task(("m", i), constant, i) for i in range(count)]
        return g, keys, sum(range(count))
    if shape == "chain":
        last = task(("c", 0), constant, 0)
        for i in range(1, count):
            last = task(("c", i), increment, TaskRef(last))
        return g, [last], count - 1
    if shape == "tree":
        leaves = count // 2
        level = [task(("t", 0, i), constant, i) for i in range(leaves)]
        depth = 0
        while len(level) > 1:
            depth += 1
            pairs = zip(level[::2], level[1::2])
            above = [task(("t", depth, i), add, TaskRef(a), TaskRef(b)) for i, (a, b) in enumerate(pairs)]
            level = above + level[len(level) - len(level) % 2 :]
        return g, level, sum(range(leaves))
    width = 1000
    row = [task(("s", 0, i), constant, 0) for i in range(width)]
    for step in range(1, count // width):
        row = [
            task(("s", step, i), add3, *(TaskRef(row[(i + d) % width]) for d in (-1, 0, 1)))
            for i in range(width)
        ]
    return g, row, 0


def total(value):
    return sum(map(total, value)) if isinstance(value, (list, tuple)) else value


def main():
    engine, shape, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if engine == "dask-threaded":
        from dask.threaded import get as threaded

        def get(g, keys):
            return threaded(g, keys, num_workers=2)
    elif engine == "dask-distributed":
        import dask
        from distributed import Client, LocalCluster

        dask.config.set({"distributed.worker.memory.target": False})
        client = Client(LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None))
        get = client.get
    elif engine == "frisky":
        import frisky

        cluster = frisky.LocalCluster(n_workers=1, threads_per_worker=2)
        client = cluster.get_client()
        get = client.get if hasattr(client, "get") else frisky.dask_get
    else:
        sys.exit(f"no engine {engine}")
    with timer() as build:
        g, keys, expected = graph(shape, count)
    tasks = len(g)
    with timer() as t:
        result = get(g, keys)
    assert total(result) == expected, (total(result), expected)
    emit(t.s, "ok", tasks=tasks, us_per_task=round(t.s / tasks * 1e6, 3), build_us_per_task=round(build.s / tasks * 1e6, 3))
    # clusters shut down slowly, and that is not what is measured
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
