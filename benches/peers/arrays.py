"""arrays.py ENGINE CASE DATA OUT BUDGET: one array job.   arrays.py make DATA SCALE   arrays.py make-rows DATA"""
import glob
import os
import sys

engine = sys.argv[1]
os.environ["OPENBLAS_NUM_THREADS"] = "1" if engine in ("dask", "cubed") else "2"
import numpy as np  # noqa: E402

from common import emit, rounded, timer  # noqa: E402


def make(data, scale):
    """365 files of (4, 721, 1440) f32, and f64 matrices: tall, long, square, x. Scale shrinks their
    number, or the long side, or both sides of x."""
    os.makedirs(f"{data}/days", exist_ok=True)
    random = np.random.default_rng(7)

    def matrix(name, rows, columns):
        out = np.lib.format.open_memmap(f"{data}/{name}.npy", "w+", np.float64, (rows, columns))
        for i in range(0, rows, 4096):
            out[i : i + 4096] = random.random((min(4096, rows - i), columns)) - 0.5

    for day in range(max(4, int(365 * scale))):
        np.save(f"{data}/days/{day:03}.npy", 270 + 30 * random.random((4, 721, 1440), dtype=np.float32))
    matrix("tall", int(1_000_000 * scale), 1000)
    matrix("long", int(200_000 * scale), 4000)
    matrix("square", 4000, 4000)
    edge = int(16384 * scale**0.5)
    matrix("x", edge, edge)
    open(f"{data}/done", "w").close()


def make_rows(data):
    """The matrix x as a Zarr array in chunks of 128 whole rows, not compressed."""
    import zarr

    x = np.load(f"{data}/x.npy", mmap_mode="r")
    rows = zarr.create_array(f"{data}/rows.zarr.new", shape=x.shape, chunks=(128, x.shape[1]),
                             dtype="f8", compressors=None)
    for i in range(0, x.shape[0], 128):
        rows[i : i + 128] = x[i : i + 128]
    os.rename(f"{data}/rows.zarr.new", f"{data}/rows.zarr")


def main():
    if engine == "make":
        return make(sys.argv[2], float(sys.argv[3]))
    if engine == "make-rows":
        return make_rows(sys.argv[2])
    case, data, out, budget = sys.argv[2:6]
    days = sorted(glob.glob(f"{data}/days/*.npy"))
    if engine == "numpy":
        mean, median = np.mean, np.median

        def load(name):
            return np.load(f"{data}/{name}.npy")

        def stack():
            return np.concatenate([np.load(day) for day in days])

        def get(x):
            return np.asarray(x)

        def dot(a, b):
            return a @ b
    elif engine == "dask":
        import dask
        import dask.array as da

        dask.config.set(scheduler="threads", num_workers=2)
        mean, median = da.mean, da.median

        def load(name):
            return da.from_array(np.load(f"{data}/{name}.npy", mmap_mode="r"), chunks="auto")

        def stack():
            return da.concatenate([da.from_array(np.load(day, mmap_mode="r"), chunks=(4, 721, 1440)) for day in days])

        def get(x):
            return x.compute()

        dot = da.dot
    elif engine == "cubed":
        import cubed
        import cubed.array_api as xp

        allowed = max(int(budget), 2000 << 20)  # it refuses these chunks below that
        spec = cubed.Spec(work_dir=f"{out}/work", allowed_mem=allowed, reserved_mem="150MB",
                          executor_name="threads", executor_options=dict(max_workers=2))

        def mean(x, axis):
            return xp.mean(x, axis=axis)

        def load(name):
            return cubed.from_array(np.load(f"{data}/{name}.npy", mmap_mode="r"), chunks=(2048, 2048), spec=spec)

        def stack():
            parts = [cubed.from_array(np.load(day, mmap_mode="r"), chunks=(4, 721, 1440), spec=spec) for day in days]
            return xp.concat(parts, axis=0)

        def get(x):
            return x.compute()

        dot = xp.matmul
        median = None
    else:
        sys.exit(f"no engine {engine}")
    transposed = (lambda x: x.T)
    std = (lambda x: xp.std(x, axis=0)) if engine == "cubed" else (lambda x: x.std(0))
    with timer() as t:
        if case == "mean":
            result = get(mean(stack(), axis=0))
        elif case == "anomaly":
            x = stack()
            result = get(x[-1] - mean(x, axis=0))
        elif case == "diurnal":
            x = stack()
            result = get(mean(x[::4], axis=0) - mean(x[2::4], axis=0))
        elif case == "gram":
            a = load("tall")
            result = get(dot(transposed(a), a))
        elif case == "tall":
            product = dot(load("long"), load("square"))
            if engine == "numpy":
                np.save(f"{out}/product.npy", product)
                stored = product
            elif engine == "dask":
                stored = np.lib.format.open_memmap(f"{out}/product.npy", "w+", np.float64, product.shape)
                da.store(product, stored, lock=False)
                stored.flush()
            else:
                import zarr

                cubed.to_zarr(product, f"{out}/product.zarr")
                stored = zarr.open_array(f"{out}/product.zarr", mode="r")
        elif case == "rechunk":
            import zarr

            source = f"{data}/rows.zarr"
            shape = zarr.open_array(source, mode="r").shape
            chunks = (shape[0], 128)
            target = dict(shape=shape, chunks=chunks, dtype="f8", compressors=None, overwrite=True)
            if engine == "numpy":
                stored = zarr.create_array(f"{out}/columns.zarr", **target)
                stored[:] = zarr.open_array(source, mode="r")[:]
            elif engine == "dask":
                stored = zarr.create_array(f"{out}/columns.zarr", **target)
                da.store(da.from_zarr(source).rechunk(chunks), stored, lock=False)
            else:
                cubed.to_zarr(cubed.rechunk(cubed.from_zarr(source, spec=spec), chunks), f"{out}/columns.zarr")
                stored = zarr.open_array(f"{out}/columns.zarr", mode="r")
        elif case == "scale":
            x = load("x")
            scaled = (x - mean(x, axis=0)) / std(x)
            result = get(xp.max(scaled) if engine == "cubed" else scaled.max())
        elif case == "transpose":
            x = load("x")
            both = x + transposed(x)
            result = get(xp.sum(both) if engine == "cubed" else both.sum())
        elif case == "median":
            if median is None:
                sys.exit("cubed has no median")
            result = get(median(load("tall"), axis=0))
        elif case == "svd":
            tall = np.load(f"{data}/tall.npy", mmap_mode="r").reshape(-1, 100)
            if engine == "numpy":
                result = np.linalg.svd(np.array(tall), compute_uv=False)
            elif engine == "dask":
                result = get(da.linalg.svd(da.from_array(tall, chunks=(160_000, 100)))[1])
            else:
                result = get(xp.linalg.svdvals(cubed.from_array(tall, chunks=(160_000, 100), spec=spec)))
        else:
            sys.exit(f"no case {case}")
    if case in ("tall", "rechunk"):
        result = np.asarray(stored[:64, :64]).sum() + np.asarray(stored[-64:, -64:]).sum()
    emit(t.s, rounded(float(np.asarray(result, dtype=np.float64).sum()), 6))


if __name__ == "__main__":
    main()
