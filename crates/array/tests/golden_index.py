"""Writes golden_index.txt: what NumPy gives for every three of the index entries below, and for random
points, masks and assignments. A line: the entries, the shape, and a sum weighted by position."""
import itertools

import numpy as np

ENTRIES = {
    "0": 0, "-2": -2, ":": slice(None), ":5": slice(None, 5), "a": [0, 1], "b": [0, 1, 2], "c": [4, 2],
    "r": slice(None, None, -1), "n": None, ":0": slice(None, 0), "e": [],
}
x = np.arange(6 * 7 * 8, dtype=np.int64).reshape(6, 7, 8)


def digest(y):
    flat = y.ravel()
    return int((flat * np.arange(1, flat.size + 1)).sum())


for names in itertools.product(ENTRIES, repeat=3):
    index = tuple(np.array(e, dtype=np.int64) if isinstance(e, list) else e for e in (ENTRIES[n] for n in names))
    try:
        y = x[index]
        z = x.copy()
        z[index] = -1
        print(*names, "|", *y.shape, "|", digest(y), digest(z))
    except IndexError:
        print(*names, "| error")
