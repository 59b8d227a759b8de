"""In which order an autoregressive model learns columns: a rule, from the training rows alone.

In: columns as small integer codes. Out: a permutation. Each next column is the one that shares
most information with those already placed, a maximum spanning tree grown from its hub.
Source: Chow & Liu (1968), "Approximating discrete probability distributions with dependence
trees": the tree of largest mutual information is the likeliest one.
"""

from __future__ import annotations

import numpy as np


class JointCounts:
    """How often the values of each two code columns come together, part after part.

    Args:
        sizes: values of each column.
    """

    def __init__(self, sizes: list[int]):
        self.sizes = sizes
        self.tables = {
            (i, j): np.zeros((sizes[i], sizes[j]), np.int64)
            for i in range(len(sizes))
            for j in range(i)
        }

    def add(self, codes: np.ndarray) -> None:
        """Count rows of codes (n, c)."""
        for (i, j), table in self.tables.items():
            pair = codes[:, i] * self.sizes[j] + codes[:, j]
            table += np.bincount(pair, minlength=table.size).reshape(table.shape)

    def shared(self) -> np.ndarray:
        """Mutual information (c, c) of each two columns, 0 on the diagonal."""
        out = np.zeros((len(self.sizes), len(self.sizes)))
        for (i, j), table in self.tables.items():
            out[i, j] = out[j, i] = mutual_information(table)
        return out


def mutual_information(joint: np.ndarray) -> float:
    """Mutual information in nats of joint counts (K_a, K_b), less its bias (Miller 1955), >= 0."""
    n = joint.sum()
    p = joint / n
    p_a, p_b = p.sum(1), p.sum(0)
    seen = p > 0
    value = (p[seen] * np.log(p[seen] / np.outer(p_a, p_b)[seen])).sum()
    free = int(seen.sum()) - int((p_a > 0).sum()) - int((p_b > 0).sum()) + 1
    return max(0.0, float(value) - free / (2 * int(n)))


def by_information(shared: np.ndarray, groups: list[list[int]]) -> list[int]:
    """The columns in order, group after group, by the information (c, c) that each two share.

    Inside a group comes next the column that shares most with one already placed; the very first
    is the one that shares most with all others. Ties go to the column further left.
    """
    placed: list[int] = []
    for group in groups:
        left = list(group)
        while left:
            score = shared[left][:, placed].max(1) if placed else shared[left].sum(1)
            placed.append(left.pop(int(score.argmax())))
    return placed
