"""generators.sources: a table and its files are learned alike."""

import numpy as np
import pandas as pd
import pytest

from generators import plan
from generators.sources import InMemory, opened
from tests.generators import contracts

N = 600
RNG = np.random.default_rng(0)
MISSING = RNG.random(N) < 0.1


def table():
    times = pd.Series(pd.date_range("2024-01-01", periods=N, freq="7min"))
    return pd.DataFrame(
        {
            "when": times,
            "local": pd.date_range("2024-01-01", periods=N, freq="3h", tz="Europe/Berlin"),
            "seen": times.where(~MISSING),
            "took": pd.to_timedelta(RNG.integers(0, 99, N), unit="m"),
            "x": np.where(MISSING, np.nan, RNG.random(N).round(3)),
            "small": RNG.random(N).astype("float32"),
            "k": RNG.integers(0, 9, N),
            "gaps": pd.array(np.where(MISSING, None, RNG.integers(0, 1000, N)), dtype="Int64"),
            "nothing": np.full(N, np.nan),
            "site": RNG.choice(["a", "b", None], N),
            "grade": pd.Categorical(RNG.choice(list("xyz"), N), list("qzyx"), ordered=True),
            "late": RNG.random(N) < 0.3,
            "known": np.where(MISSING, None, RNG.random(N) < 0.3),
        }
    )


def write(table, folder, parts=3):
    folder.mkdir(exist_ok=True)
    for i, rows in enumerate(np.array_split(np.arange(len(table)), parts)):
        path = folder / f"{i}.parquet"
        table.iloc[rows].to_parquet(path, index=False, row_group_size=70)
    return folder


def test_files_have_the_layout_the_rows_and_the_counts_of_the_table(tmp_path):
    folder = write(table(), tmp_path / "data")
    here = InMemory.of(pd.read_parquet(folder))
    with opened(folder) as there:
        assert (there.view, there.layout, there.n) == (here.view, here.layout, N)
        numbers, codes = (np.concatenate(arrays) for arrays in zip(*there.parts(), strict=True))
        assert np.array_equal(numbers, here.numbers) and np.array_equal(codes, here.codes)
        expected = plan.fingerprint(here.numbers, here.codes)
        assert there.fingerprint() == here.fingerprint() == expected
        for j in range(numbers.shape[1]):
            one, other = here.histogram(j, 20), there.histogram(j, 20)
            assert np.array_equal(one.value, other.value) and np.array_equal(one.rows, other.rows)
        kept = there.folder
    assert not kept.exists()


@pytest.mark.parametrize("name", ["tabar", "tabddpm", "smote"])
def test_a_model_of_files_is_that_of_the_table_byte_for_byte(name, tmp_path):
    folder, fitted = write(table(), tmp_path / "data"), []
    for given in (pd.read_parquet(folder), folder, str(folder / "*.parquet")):
        model = contracts.make(name)
        fitted.append(model.fit(given, steps=6, seed=2, progress=False))
    arrays = [model._to_arrays() for model in fitted]
    for key in arrays[0]:
        assert all(np.array_equal(arrays[0][key], other[key]) for other in arrays[1:]), key
    assert all(fitted[0].sample(40).equals(model.sample(40)) for model in fitted[1:])


def test_a_run_of_the_table_resumes_from_its_files(tmp_path):
    folder = write(table()[["x", "k", "site"]], tmp_path / "data")
    checkpoint = tmp_path / "state"
    for given in (pd.read_parquet(folder), folder):
        model = contracts.make("tabar")
        model.fit(given, steps=5, seed=1, progress=False, checkpoint=checkpoint)
    assert model.n_steps_ == 5


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"x": [1.0, np.inf]}, "x: 1 of 2 rows are not finite"),
        ({"x": [1, 2**60]}, r"x: 1 of 2 rows are integers beyond 2\*\*53"),
        ({"x": [[1], [2]]}, "x: a column must hold numbers"),
        ({"x": np.empty(0)}, "at least one row"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_a_sentence(column, message, tmp_path):
    pd.DataFrame(column).to_parquet(tmp_path / "bad.parquet")
    model = contracts.make("tabar").fit(table()[["k"]], steps=1, progress=False)
    with pytest.raises(ValueError, match=message) as error:
        model.fit(tmp_path / "bad.parquet", steps=1, progress=False)
    assert "\n" not in str(error.value) and len(model.sample(3)) == 3
