"""A table of a known law, conditions on it, and whether two tables follow the same one."""

import math

import numpy as np
import pandas as pd

N = 4000
CONDITIONS = [
    {"b": "v"},
    {"a": "rest", "b": "u"},
    {"a": "work"},
    {"x": (-9.5, 11.5)},
    {"creationtime": (4.5, 6.25), "b": ["u", "v"]},
    {"spike": 100, "x": (None, 0.0)},
    {"spike": (3, 7), "a": ["work"], "creationtime": (20, None)},
]


def dependent(n=N, seed=0):
    """Rows of a known law: a decides b, a and b decide x, time decides a."""
    rng = np.random.default_rng(seed)
    days = rng.random(n) * 28
    a = np.where(rng.random(n) < np.where(days % 7 < 5, 0.8, 0.2), "work", "rest")
    b = np.where(rng.random(n) < np.where(a == "work", 0.9, 0.1), "u", "v")
    x = np.where(a == "work", 10.0, -10.0) + np.where(b == "u", 2.0, -2.0) + rng.normal(size=n)
    spike = np.where(rng.random(n) < np.where(b == "u", 0.6, 0.1), 100, rng.poisson(5, n))
    return pd.DataFrame({"creationtime": days, "a": a, "b": b, "x": x, "spike": spike})


def holding(table, where):
    """Which rows (n,) of a table hold a condition."""
    held = np.ones(len(table), bool)
    for name, value in where.items():
        if isinstance(value, tuple):
            low = -math.inf if value[0] is None else value[0]
            high = math.inf if value[1] is None else value[1]
            held &= table[name].between(low, high).to_numpy()
        else:
            held &= table[name].isin(value if isinstance(value, list) else [value]).to_numpy()
    return held


def assert_alike(one, other, bias=0.0):
    """Means and shares of two tables differ by chance, and by `bias` more.

    bias: of shares, and of means in standard deviations of the law without conditions.
    """
    error = 4.5 * math.sqrt(1 / len(one) + 1 / len(other))
    for name, spread in (("creationtime", 8.1), ("x", 11.0), ("spike", 47.0)):
        most = error * other[name].std() + bias * spread + 1e-9
        assert abs(one[name].mean() - other[name].mean()) <= most, name
    for name, value in (("a", "work"), ("b", "u")):
        gap = abs(np.mean(one[name] == value) - np.mean(other[name] == value))
        assert gap <= error + bias, name
