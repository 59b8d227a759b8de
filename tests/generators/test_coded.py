"""generators.coded: rows in bytes are the rows."""

import numpy as np
import torch

from generators.coded import CodedFile, log_shares

SIZES = (3, 256, 257, 70_000, 1)
RNG = np.random.default_rng(2)
X = np.column_stack([RNG.integers(0, size, 900) for size in SIZES])


def coded(folder):
    file = CodedFile(len(X), SIZES, folder)
    for part in np.array_split(X, 4):
        file.add(part)
    return file.rows()


def test_rows_come_back_from_memory_and_from_a_file(tmp_path):
    for rows in (coded(None), coded(tmp_path)):
        at = torch.tensor([5, 899, 0, 5])
        assert torch.equal(rows[at], torch.from_numpy(X[at]))
        assert (
            torch.equal(torch.cat(list(rows.split(100))), torch.from_numpy(X)) and len(rows) == 900
        )
        assert rows.data.shape[1] == 1 + 1 + 2 + 3 + 1


def test_a_selection_of_rows_and_fields_is_one_of_the_table():
    some = torch.tensor([7, 3, 800, 4])
    rows = coded(None).of_fields([3, 0]).take(some.int())
    wanted = torch.from_numpy(X[some][:, [3, 0]])
    assert torch.equal(torch.cat(list(rows.split(3))), wanted)
    assert torch.equal(rows[torch.tensor([2, 0])], wanted[[2, 0]]) and len(rows) == 4


def test_shares_are_those_of_the_rows():
    alone, within = log_shares(coded(None), [(0, 1, 3), (1, 3, 256)])
    first, second = torch.from_numpy(X[:, 0]), torch.from_numpy(X[X[:, 0] == 1, 1])
    assert torch.allclose(alone.exp()[0], torch.bincount(first).double() / 900)
    wanted = torch.bincount(second, minlength=256).double() / len(second)
    assert torch.allclose(within.exp()[1], wanted)
