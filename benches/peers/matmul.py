"""matmul.py ENGINE DATA OUT BUDGET: C = A·B from disk to disk.   matmul.py check OUT   matmul.py to-zarr DATA"""
import os
import sys

engine = sys.argv[1]
# dask and cubed run chunks in parallel; two layers of threads would only fight
os.environ["OPENBLAS_NUM_THREADS"] = "1" if engine in ("dask", "cubed") else "2"
import numpy as np  # noqa: E402

from common import emit, rounded, timer  # noqa: E402

CHUNK = 2048


def check(out):
    if os.path.exists(f"{out}/C.npy"):
        c = np.load(f"{out}/C.npy", mmap_mode="r")
    else:
        import zarr

        c = zarr.open_array(f"{out}/C.zarr", mode="r")
    n = c.shape[0]
    some = min(64, n)
    corners = np.asarray(c[:some, :some]).sum() + np.asarray(c[n - some :, n - some :]).sum()
    emit(0, rounded(float(corners + np.asarray(c[n // 2, :]).sum()), 8))


def to_zarr(data):
    import zarr

    for name in "AB":
        a = np.load(f"{data}/{name}.npy", mmap_mode="r")
        z = zarr.create_array(f"{data}/{name}.zarr.tmp", shape=a.shape, chunks=(min(CHUNK, a.shape[0]),) * 2, dtype="f8", compressors=None, overwrite=True)
        for i in range(0, a.shape[0], CHUNK):
            z[i : i + CHUNK] = a[i : i + CHUNK]
        os.rename(f"{data}/{name}.zarr.tmp", f"{data}/{name}.zarr")


def main():
    if engine == "check":
        return check(sys.argv[2])
    if engine == "to-zarr":
        return to_zarr(sys.argv[2])
    data, out, budget = sys.argv[2], sys.argv[3], int(sys.argv[4])
    if engine == "numpy":
        with timer() as t:
            np.save(f"{out}/C.npy", np.load(f"{data}/A.npy") @ np.load(f"{data}/B.npy"))
    elif engine == "dask":
        import dask
        import dask.array as da

        dask.config.set(scheduler="threads", num_workers=2)
        with timer() as t:
            a, b = (da.from_array(np.load(f"{data}/{x}.npy", mmap_mode="r"), chunks=(CHUNK, CHUNK)) for x in "AB")
            c = np.lib.format.open_memmap(f"{out}/C.npy", "w+", np.float64, (a.shape[0], b.shape[1]))
            da.store(a @ b, c, lock=False)
            c.flush()
    elif engine == "cubed":
        import cubed
        import cubed.array_api as xp

        allowed = max(budget, 1000 << 20)  # it refuses this chunk size below that
        with timer() as t:
            spec = cubed.Spec(work_dir=f"{out}/work", allowed_mem=allowed, reserved_mem="150MB", executor_name="threads", executor_options=dict(max_workers=2))
            a, b = (cubed.from_zarr(f"{data}/{x}.zarr", spec=spec) for x in "AB")
            cubed.to_zarr(xp.matmul(a, b), f"{out}/C.zarr")
    else:
        sys.exit(f"no engine {engine}")
    emit(t.s, None)


if __name__ == "__main__":
    main()
