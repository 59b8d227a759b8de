"""metrics.report: every number beside its floor, at one n, the same for the same seed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import metrics
from metrics import Evaluator, evaluate, glossary, privacy
from metrics.efficacy import Classifier, Regressor
from metrics.measures import BETTER
from metrics.registry import MEASURES, TABLE_1, all_numbers, listed
from metrics.report import markdown, plain, show
from tests.foundations.odd_tables import odd_table

QUICK = ("WD", "JSD", "diff-CORR", "DCR")
FAST = Classifier(iterations=5, depth=2)
SMALL = Regressor(iterations=10, depth=3, learning_rate=0.5)


def table(n, seed):
    rng = np.random.default_rng(seed)
    site = rng.choice(["BNL", "CERN", "RAL"], n)
    size = rng.lognormal(20, 1, n) * (1 + (site == "BNL"))
    return pd.DataFrame(
        {
            "creationtime": rng.uniform(0, 20, n),
            "bytes": size,
            "workload": size**0.7 * rng.lognormal(0, 0.3, n),
            "site": pd.Categorical(site),
        }
    )


@pytest.fixture(scope="module")
def report():
    return evaluate(table(600, 0), table(200, 1), table(400, 2), regressor=SMALL)


def test_every_metric_has_a_floor_and_a_meaning(report):
    assert set(report.synthetic.values) == set(report.floor.values) <= set(all_numbers())
    assert set(TABLE_1) | {"C2ST"} <= set(report.floor.values)
    undefined = {name for name, v in report.synthetic.values.items() if not np.isfinite(v)}
    assert undefined == {"site x week JSD", "unseen pair share"}  # one categorical, no site


def test_real_rows_score_like_the_floor(report):
    for name in ("WD", "diff-CORR", "DCR"):
        assert 0.2 < report.synthetic.values[name] / report.floor.values[name] < 5
    assert abs(report.floor.values["closer to train"] - 0.5) < 0.12


def test_a_train_table_as_long_as_the_test_half_is_its_own_match():
    train, synthetic, holdout = table(200, 0), table(200, 1), table(400, 2)
    evaluator = Evaluator(train, holdout, only=["DCR"], n_max=200)
    indexes = evaluator.once(privacy.matched_indexes)
    assert indexes[0] is evaluator.once(privacy.train_index)
    found = evaluator.score(synthetic).values["closer to train"]
    by_hand = privacy.closer_to_train(train, synthetic, evaluator.test_rows)
    assert found == pytest.approx(by_hand.mean(), abs=1e-12)


def test_sizes_say_what_was_compared(report):
    assert (report.n, report.n_mlef, report.n_train, report.n_holdout) == (200, 200, 600, 400)
    assert (report.transform, report.target) == ("ln", "workload")


def test_table_1_has_the_five_columns(report):
    frame = report.table1()
    assert tuple(frame.columns) == TABLE_1 and list(frame.index) == ["synthetic", "floor"]


def test_json_is_strict_and_carries_the_columns(report):
    loaded = json.loads(report.to_json(), parse_constant=lambda word: pytest.fail(word))
    assert set(loaded["synthetic"]["columns"]["WD"]) == {"creationtime", "bytes", "workload"}
    assert set(loaded["floor"]["interval"]) == {
        "DCR",
        "closer to train",
        "NNDR",
        "C2ST",
        "membership AUC",
        "membership AUC distance",
    }
    low, high = loaded["floor"]["interval"]["closer to train"]
    assert low <= loaded["floor"]["values"]["closer to train"] <= high


def test_markdown_has_a_line_a_metric(report):
    assert len(report.to_markdown().splitlines()) == 2 + len(report.synthetic.values)


def test_the_same_seed_gives_the_same_report():
    tables = table(300, 3), table(100, 4), table(200, 5)
    first, second = (evaluate(*tables, seed=7, only=QUICK).to_json() for _ in "ab")
    assert first == second
    assert first != evaluate(*tables, seed=8, only=QUICK).to_json()


def test_input_tables_are_not_changed():
    tables = table(100, 6), table(50, 7), table(80, 8)
    before = [t.copy() for t in tables]
    evaluate(*tables, only=QUICK)
    for old, new in zip(before, tables, strict=True):
        pd.testing.assert_frame_equal(old, new)


def test_a_train_copy_is_caught_where_real_rows_are_not():
    train = table(1_000, 9)
    found = evaluate(train, train.sample(300, random_state=0), table(600, 10), only=["DCR"])
    assert found.synthetic.values["exact share"] == 1 and found.floor.values["exact share"] == 0
    assert found.synthetic.values["DCR"] == 0 < found.floor.values["DCR"]
    assert found.synthetic.values["closer to train"] > 0.6


def test_a_short_synthetic_table_lowers_n_for_the_floor_too():
    only = ["WD", "diff-MLEF"]
    found = evaluate(table(200, 11), table(30, 12), table(400, 13), only=only, regressor=SMALL)
    assert (found.n, found.n_mlef) == (30, 30)


def test_more_real_rows_raise_n_for_the_regressors_alone():
    evaluator = Evaluator(table(500, 14), table(100, 15), extra=table(300, 16), only=["WD"])
    assert (evaluator.n, evaluator.n_mlef) == (50, 350)
    assert len(evaluator.test) == 50


def test_several_seeds_give_a_spread():
    found = evaluate(table(200, 17), table(80, 18), table(160, 19), only=["C2ST"], n_seeds=2)
    assert set(found.synthetic.spread) == {"C2ST"}


def test_without_a_target_the_regressor_is_left_out():
    found = evaluate(table(60, 20), table(20, 21), table(40, 22), target=None)
    assert "diff-MLEF" not in found.floor.values and found.transform is None
    assert np.isnan(found.table1().loc["floor", "diff-MLEF"])


def test_tiny_tables_are_scored():
    tables = table(1, 23), table(1, 24), table(2, 25)
    found = evaluate(*tables, only=[*QUICK, "C2ST"])
    assert json.loads(found.to_json())["synthetic"]["values"]["C2ST"] is None


def test_columns_that_train_lacks_are_not_looked_at():
    train, synthetic, holdout = table(60, 0), table(60, 1), table(60, 2)
    more = synthetic.assign(stage=np.nan)[["stage", *synthetic.columns[::-1]]]
    one, two = (evaluate(train, t, holdout, only=["WD", "JSD"]) for t in (synthetic, more))
    assert one.to_json() == two.to_json()
    with pytest.raises(ValueError, match=r"missing \['site'\] and unknown \['sight'\]"):
        evaluate(train, synthetic.rename(columns={"site": "sight"}), holdout, only=["WD"])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((table(9, 0), table(9, 1), table(9, 2)), {"only": ["WD", "XX"]}, "unknown metric 'XX'"),
        ((table(9, 0), table(9, 1), table(9, 2)), {"target": "site"}, "target must be a numerical"),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"target": "site", "only": ["WD"]},
            r"target must be a numerical column, got 'site'; classifiers take labels=\['site'\]",
        ),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"labels": ["bytes"], "only": ["MLE"]},
            "labels must be categorical columns, got 'bytes'",
        ),
        ((table(9, 0), table(9, 1), table(9, 2)), {"only": ["MLE"]}, "MLE needs labels"),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"n_seeds": 0},
            "n_seeds must be a whole number of",
        ),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"in_memory": 0},
            "in_memory must be a whole number of",
        ),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"n_seeds": "3"},
            "n_seeds must be a whole number of",
        ),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"n_seeds": 1.5},
            "n_seeds must be a whole number of",
        ),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"seed": -1},
            "seed must be a whole number between 0",
        ),
        ((table(9, 0), table(9, 1), table(9, 2)), {"seed": 2**32}, "seed must be a whole number"),
        ((table(9, 0), table(9, 1), table(9, 2)), {"seed": 0.5}, "seed must be a whole number"),
        ((table(9, 0), table(9, 1), table(9, 2)), {"target": ["workload"]}, "one column name"),
        ((table(9, 0), table(9, 1), table(9, 2)), {"regressor": None}, "regressor must be an eff"),
        ((table(9, 0), table(9, 1), table(9, 2)), {"only": []}, "only must leave a group to"),
        (
            (table(9, 0), table(9, 1), table(9, 2)),
            {"only": ["diff-MLEF"], "target": None},
            "only must leave a group to measure",
        ),
        (
            (table(9, 0), table(9, 1).assign(bytes=2e300), table(9, 2)),
            {},
            r"column 'bytes': 9 of 9 values are beyond 1e\+300 in size, e.g. row 0",
        ),
        (
            (table(9, 0).assign(workload=-1e39), table(9, 1), table(9, 2)),
            {},
            r"target with negative values must stay below 1e\+38 in size, column 'workload' does",
        ),
        (
            (table(9, 0), table(9, 1).assign(site=[[1]] * 9), table(9, 2)),
            {},
            "synthetic: column 'site' must hold single values, got a list in row 0",
        ),
        ((table(9, 0), table(9, 1).assign(bytes="x"), table(9, 2)), {}, "'bytes' must be of one"),
        ((table(9, 0), table(9, 1), table(9, 2)), {"only": "YY"}, "unknown metric 'YY'"),
        ((table(9, 0), table(9, 1), table(1, 2)), {}, "holdout must have at least 2 rows"),
        ((table(9, 0), table(0, 1), table(9, 2)), {}, "synthetic must have at least one row"),
        ((table(9, 0), table(9, 1)[["site"]], table(9, 2)), {}, "synthetic must have the columns"),
        ((table(9, 0)[["site", "site"]], table(9, 1), table(9, 2)), {}, "train: column names must"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(arguments, options, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluate(*arguments, **options)
    assert "\n" not in str(error.value)


def test_numbers_are_shown_for_reading():
    assert [show(v) for v in (None, float("nan"), 0.0, 0.12345, 1e-7, 123456.0)] == [
        "–",
        "–",
        "0",
        "0.123",
        "1.00e-07",
        "1.23e+05",
    ]


def test_bars_in_cells_do_not_break_a_table():
    assert markdown(["a|b"], [["c\nd"]]) == "| a\\|b |\n| --- |\n| c d |\n"


def test_plain_turns_the_undefined_into_null():
    assert plain({"a": [np.float32(1), float("inf")], "b": (np.int64(2),)}) == {
        "a": [1.0, None],
        "b": [2],
    }


def test_classifiers_of_any_category_are_one_name_away():
    tables = table(300, 30), table(150, 31), table(300, 32)
    found = evaluate(*tables, labels="site", only=["MLE"], classifier=FAST)
    assert set(found.floor.values) == {"diff-accuracy", "diff-log-loss"} == set(found.floor.spread)
    assert set(found.floor.columns["diff-accuracy"]) == {"site"}
    assert abs(found.floor.values["diff-accuracy"]) < 0.2


def test_every_number_has_a_meaning_and_belongs_to_one_measure():
    for name, number in all_numbers().items():
        assert number.name == name and number.better in BETTER
        assert all((number.range, number.meaning, number.floor, number.source)), name
    assert sorted(measure.name for measure in listed()) == sorted(MEASURES)
    assert sum(len(m.numbers) for m in listed()) == len(all_numbers())


def test_the_docs_hold_the_table_as_it_is():
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text() == glossary.page(), "write glossary.page() to docs/metrics.md"


def test_everything_exported_is_there():
    assert all(hasattr(metrics, name) for name in metrics.__all__)


ODD = {  # name: what is done to train, synthetic and holdout alike, or to the synthetic table
    "constants": (lambda t: t.assign(bytes=5, workload=2.0, site="x", creationtime=1.0), None),
    "one category a row": (lambda t: t.assign(site=[f"{x}" for x in t["bytes"]]), None),
    "1e300": (
        lambda t: t.assign(bytes=1e289 * t["bytes"], creationtime=1e298 * t["creationtime"]),
        None,
    ),
    "1e300 in the synthetic table": (None, lambda t: t.assign(bytes=1e300)),
    "denormal": (lambda t: t.assign(bytes=t["bytes"] * 1e-320), None),
    "the ends of int64": (
        lambda t: t.assign(
            bytes=np.where(t["bytes"] > 5e8, np.iinfo(np.int64).max, np.iinfo(np.int64).min)
        ),
        None,
    ),
    "bool": (lambda t: t.assign(site=t["site"] == "BNL"), None),
    "ordered": (lambda t: t.assign(site=t["site"].cat.as_ordered()), None),
    "nullable": (lambda t: t.astype({"bytes": "Float64", "site": "string"}), None),
    "one category in the synthetic table": (None, lambda t: t.assign(site="nowhere")),
    "another order": (None, lambda t: t[t.columns[::-1]].set_axis([7] * len(t), axis=0)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", list(ODD))
def test_odd_tables_get_finite_numbers(name):
    all_three, synthetic_alone = ODD[name]
    tables = [table(n, seed) for n, seed in ((60, 40), (30, 41), (60, 42))]
    if all_three:
        tables = [all_three(t) for t in tables]
    if synthetic_alone:
        tables[1] = synthetic_alone(tables[1])
    one_day = {"dispersion 24h", "dispersion 168h"} if name == "constants" else set()
    expected = {"site x week JSD", "unseen pair share"} | one_day
    found = evaluate(*tables, regressor=SMALL, n_seeds=1)
    for score in (found.synthetic, found.floor):
        assert {k for k, v in score.values.items() if not np.isfinite(v)} <= expected


def test_numbers_do_not_depend_on_the_unit():
    tables = [table(n, seed) for n, seed in ((200, 43), (90, 44), (200, 45))]
    large = [t.assign(bytes=t["bytes"] * 2.0**900) for t in tables]
    here, there = (evaluate(*ts, only=[*QUICK, "NNDR"]).synthetic.values for ts in (tables, large))
    for name in set(here) - {"WD log"}:
        assert there[name] == pytest.approx(here[name], rel=1e-9), name


def test_the_holdout_may_be_train_itself_and_its_floor_says_so():
    found = evaluate(table(80, 46), table(40, 47), table(80, 46), only=["DCR", "membership"])
    assert found.floor.values["exact share"] == 1 and found.floor.values["DCR"] == 0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_rows_give_numbers_or_none(n):
    few = [table(n, seed) for seed in (48, 49)]
    for tables in (
        (few[0], table(30, 50), table(30, 51)),
        (table(30, 50), few[0], table(30, 51)),
        (table(30, 50), table(30, 51), table(max(n, 2), 52)),
    ):
        json.loads(evaluate(*tables, regressor=SMALL, n_seeds=1).to_json())


def test_dates_gaps_and_huge_integers_are_scored_like_any_column():
    real = odd_table(400)
    report = evaluate(
        real[:200], real[200:300], real[200:], n_seeds=1, target="plain", only=["WD", "JSD", "C2ST"]
    )
    assert all(np.isfinite(value) for value in report.synthetic.values.values())
    early, late = real[:100], real[:100].assign(date=real["date"].max())
    distance = [
        evaluate(real[:200], table, real[200:], n_seeds=1, target="plain", only=["WD"]).synthetic
        for table in (early, late)
    ]
    assert distance[1].values["WD"] > distance[0].values["WD"] + 0.01
