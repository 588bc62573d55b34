"""Writes golden_ufuncs.txt: what NumPy gives for every function of elements. Run it by hand."""
import numpy as np

X = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.5, 1e-9, 700.25, -1e300, np.inf, -np.inf, np.nan])
Y = np.array([2.0, -3.0, 0.0, 2.0, -0.5, 2.0, -2.0, 5.0, 3.0, 1.0, 1.0, np.inf, 1.0])
I = np.array([0, 1, -1, 7, -7, 12, -128, 127, 6, 100], dtype=np.int8)
J = np.array([3, -1, 5, 2, 2, 18, -1, 7, 0, 3], dtype=np.int8)


def line(name, values):
    def text(v):
        if values.dtype == bool:
            return "1" if v else "0"
        return repr(float(v)) if values.dtype.kind == "f" else str(int(v))

    print(name + ":", " ".join(text(v) for v in values))


np.seterr(all="ignore")
for name in """exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan arcsin arccos arctan sinh cosh
    tanh arcsinh arccosh arctanh deg2rad rad2deg sinc square absolute sign reciprocal negative spacing
    floor ceil trunc rint isnan isinf isfinite isneginf isposinf signbit nan_to_num logical_not""".split():
    line(name, getattr(np, name)(X))
line("round2", np.round(X, 2))
line("clip", np.clip(X, -1.0, 2.0))
for name in """power arctan2 hypot fmod copysign logaddexp logaddexp2 heaviside nextafter floor_divide
    remainder maximum minimum fmax fmin equal not_equal less less_equal greater greater_equal isclose
    logical_and logical_or logical_xor add subtract multiply divide""".split():
    line(name, getattr(np, name)(X, Y))
line("frexp0", np.frexp(X)[0])
line("frexp1", np.frexp(X)[1][:-3])  # of infinities it is not defined
line("modf0", np.modf(X)[0])
line("modf1", np.modf(X)[1])
line("ldexp", np.ldexp(X, np.int32(5)))
for name in "absolute sign square negative invert bitwise_count".split():
    line("i_" + name, getattr(np, name)(I))
line("i_reciprocal", np.reciprocal(I[1:]))
for name in """floor_divide remainder bitwise_and bitwise_or bitwise_xor left_shift right_shift gcd lcm
    add subtract multiply divide maximum minimum""".split():
    other = np.abs(J) % 8 if "shift" in name else J
    line("i_" + name, getattr(np, name)(I, other.astype(np.int8)))
