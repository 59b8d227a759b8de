"""foundations.parquet: files of one schema as one table, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from foundations.parquet import Dataset

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"x": RNG.random(500), "n": RNG.integers(0, 9, 500), "site": list("abcde") * 100}
)


@pytest.fixture
def folder(tmp_path):
    for i in range(3):
        part = TABLE.iloc[i * 150 : (i + 1) * 150 if i < 2 else None]
        part.to_parquet(tmp_path / f"{2019 + i}.parquet", index=False, row_group_size=40)
    return tmp_path


def test_batches_are_the_rows_of_the_files_in_their_order(folder):
    dataset = Dataset(folder)
    batches = list(dataset.batches(rows=33))
    assert max(map(len, batches)) <= 33 and len(dataset) == 500
    joined = pd.concat([batch.astype({"site": "str"}) for batch in batches], ignore_index=True)
    pd.testing.assert_frame_equal(joined, TABLE)
    pd.testing.assert_frame_equal(dataset.frame(), TABLE)


def test_a_pattern_a_file_and_columns_are_taken(folder):
    assert len(Dataset(folder / "2020*.parquet")) == len(Dataset(folder / "2020.parquet")) == 150
    some = Dataset(folder, names=["site", "x"])
    assert list(next(some.batches())) == list(some.frame()) == ["site", "x"]


def test_a_folder_with_a_train_table_stands_for_it(folder):
    TABLE.iloc[:7].to_parquet(folder / "train.parquet")
    assert len(Dataset(folder)) == 7 and Dataset(folder).columns == list(TABLE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="n"), "but 2022.parquet lacks 'n', which 2019.parquet has"),
        (lambda t: t.assign(cpu=1), "but 2019.parquet lacks 'cpu', which 2022.parquet has"),
        (
            lambda t: t.astype({"n": float}),
            "'n' is double in 2022.parquet and int64 in 2019.parquet",
        ),
        (lambda t: t.astype({"site": "category"})[["site", "n", "x"]], None),
    ],
)
def test_files_that_disagree_are_told_by_file_and_column(folder, change, message):
    change(TABLE).to_parquet(folder / "2022.parquet", index=False)
    if message is None:
        assert len(Dataset(folder)) == 1000
        return
    with pytest.raises(ValueError, match=message) as error:
        Dataset(folder)
    assert "\n" not in str(error.value)


def test_what_is_no_data_set_is_refused_in_a_sentence(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no file"):
        Dataset(folder / "nowhere")
    (folder / "2018.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="2018.parquet: no readable Parquet table"):
        Dataset(folder)
    with pytest.raises(ValueError, match=r"must have the columns \['y'\], got missing"):
        Dataset(folder / "2019.parquet", names=["y"])
    pd.DataFrame({"l": [[1], [2]]}).to_parquet(folder / "list.parquet")
    with pytest.raises(ValueError, match="l: a column must hold numbers, times, text or truths"):
        Dataset(folder / "list.parquet").check_types()
