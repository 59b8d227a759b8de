"""In which order an autoregressive model learns columns: a rule, from the training rows alone.

In: columns as small integer codes. Out: a permutation. Each next column is the one that shares
most information with those already placed, a maximum spanning tree grown from its hub.
Source: Chow & Liu (1968), "Approximating discrete probability distributions with dependence
trees": the tree of largest mutual information is the likeliest one.
"""

from __future__ import annotations

import numpy as np


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information in nats of two code columns (n,), less its bias (Miller 1955), >= 0."""
    n, k_a, k_b = len(a), int(a.max()) + 1, int(b.max()) + 1
    joint = np.bincount(a * k_b + b, minlength=k_a * k_b).reshape(k_a, k_b) / n
    p_a, p_b = joint.sum(1), joint.sum(0)
    seen = joint > 0
    value = (joint[seen] * np.log(joint[seen] / np.outer(p_a, p_b)[seen])).sum()
    free = int(seen.sum()) - int((p_a > 0).sum()) - int((p_b > 0).sum()) + 1
    return max(0.0, float(value) - free / (2 * n))


def by_information(codes: np.ndarray, groups: list[list[int]]) -> list[int]:
    """The columns of codes (n, c) in order, group after group.

    Inside a group comes next the column that shares most with one already placed; the very first
    is the one that shares most with all others. Ties go to the column further left.
    """
    c = codes.shape[1]
    shared = np.zeros((c, c))
    for i in range(c):
        for j in range(i):
            shared[i, j] = shared[j, i] = mutual_information(codes[:, i], codes[:, j])
    placed: list[int] = []
    for group in groups:
        left = list(group)
        while left:
            score = shared[left][:, placed].max(1) if placed else shared[left].sum(1)
            placed.append(left.pop(int(score.argmax())))
    return placed
