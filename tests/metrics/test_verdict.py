"""metrics.verdict: sentences on results written by hand, and none where nothing was measured."""

import pandas as pd
import pytest

from metrics import verdict

REAL = pd.DataFrame([[1.0, 0.6], [0.6, 1.0]], index=["work", "site"], columns=["work", "site"])
FLOOR = {
    "model": "real rows",
    "C2ST": 0.50,
    "diff-MLEF": 0.0,
    "MLEF": 1.0,
    "membership AUC": 0.5,
    "closer to train": 0.5,
    "exact share": 0.0,
    "columns": {"WD": {"work": 0.001}, "JSD": {"site": 0.002}},
    "association": {"columns": ["work", "site"], "values": REAL.to_numpy().tolist()},
}


def row(model, together=0.6, site=0.002, **numbers):
    """A row of a table that is as good as real rows, but for what is given."""
    association = {"columns": ["work", "site"], "values": [[1.0, together], [0.6, 1.0]]}
    columns = {"WD": {"work": 0.001}, "JSD": {"site": site}}
    return FLOOR | {"model": model, "association": association, "columns": columns} | numbers


def said(*rows, floor=FLOOR):
    config = {"target": "work"}
    result = {"rows": list(rows), "floor": floor, "config": config, "n_synthetic": 6250}
    return dict(verdict.sentences(result, REAL))


def test_the_model_hardest_to_tell_is_the_one_to_use_and_its_equals_are_named():
    found = said(row("a", C2ST=0.53), row("b", C2ST=0.51), row("c", C2ST=0.517))
    words = found["Use b for questions across columns"]
    assert "51 of 100 pairs" in words and "50 of 100 where both are real" in words
    assert words.endswith("c cannot be told from it in this.")


def test_where_the_best_is_far_off_none_is_to_be_used():
    found = said(row("a", C2ST=0.93), row("b", C2ST=0.99))
    assert "of the nearest, a" in found["Use none for questions across columns"]


def test_learning_is_judged_by_the_error_over_that_of_real_rows():
    found = said(
        row("a", **{"MLEF": 6.0, "diff-MLEF": 5.0}), row("b", **{"MLEF": 1.1, "diff-MLEF": 0.1})
    )
    words = found["Learn from b where work is predicted"]
    assert "1.10 times" in words and "a 6" in words


@pytest.mark.parametrize(
    ("number", "value", "words"),
    [
        ("membership AUC", 0.66, "in 66 of 100 pairs an attack"),
        ("closer to train", 0.88, "88 of 100 rows lie nearer to a training record"),
        ("exact share", 0.25, "25.00% of the rows are training records"),
        ("worst inference risk", 0.4, "40% oftener"),
    ],
)
def test_each_leak_is_said_of_the_model_that_has_it_alone(number, value, words):
    floor = FLOOR | {"worst inference risk": 0.0}
    found = said(row("leaky", **{number: value}), row("tight"), floor=floor)
    assert words in found["Do not share rows of leaky"]
    assert "6,250 rows" in found["No leak was found in tight"]


def test_what_is_farthest_from_real_rows_is_named_by_column_and_by_pair():
    found = said(row("a", together=0.2, site=0.05), row("b"))
    assert "site (JSD 0.05, real rows 0.002)" in found["a"]
    assert "how work goes with site (0.20 for 0.60)" in found["a"]
    assert found["b"] == "near real rows."


def test_without_a_number_its_sentence_is_left_out():
    bare = {"model": "a", "columns": {}}
    assert said(bare, floor={"model": "real rows"}) == {"a": "near real rows."}
