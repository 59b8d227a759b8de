"""metrics.membership: copies and jittered copies are found out, honest tables are not."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

import generators
from metrics import evaluate, membership
from metrics.bootstrap import auc_interval
from metrics.detection import auc
from tests.metrics.test_density import normal_scores


def table(n, seed):
    rng = np.random.default_rng(seed)
    size = rng.lognormal(20, 1, n)
    return pd.DataFrame(
        {
            "creationtime": rng.uniform(0, 20, n),
            "bytes": size,
            "workload": size**0.7 * rng.lognormal(0, 0.5, n),
            "site": pd.Categorical(rng.choice(["BNL", "CERN", "RAL"], n)),
        }
    )


def jittered(frame, share=0.01):
    rng = np.random.default_rng(0)
    noise = {
        name: frame[name] * (1 + share * rng.normal(size=len(frame)))
        for name in ("bytes", "workload")
    }
    return frame.assign(**noise)


TRAIN = table(1_500, 0)


def attacked(synthetic, seed=0):
    return membership.attack(*_cast(synthetic, seed)).values()


def _cast(synthetic, seed):
    members, others, reference = membership.attack_rows(TRAIN, table(3_000, 1), seed=seed)
    return members, others, synthetic, reference


def test_a_train_copy_gives_every_member_away():
    found = attacked(TRAIN)
    assert found["membership AUC"] > 0.99 and found["membership AUC distance"] > 0.99
    assert found["membership found"] > 0.9


def test_a_jittered_train_copy_is_found_out():
    found = attacked(jittered(TRAIN))
    assert found["membership AUC"] > 0.8 and found["membership AUC distance"] > 0.8


def test_an_honest_table_gives_nobody_away():
    other_half = table(1_500, 2)
    honest = other_half.sample(1_500, replace=True, random_state=0)
    found = attacked(honest)
    assert abs(found["membership AUC"] - 0.5) < 0.04
    assert abs(found["membership AUC distance"] - 0.5) < 0.04
    assert found["membership found"] < 0.04


def test_the_cast_does_not_overlap_and_is_balanced():
    test = table(101, 3)
    members, others, reference = membership.attack_rows(TRAIN, test, seed=5)
    assert len(members) == len(others) == 50 and len(reference) == 51
    assert not set(others.index) & set(reference.index)


def test_one_unseen_row_is_too_few_to_attack_and_gives_nan():
    members, others, reference = membership.attack_rows(TRAIN, table(1, 4))
    values = membership.attack(members, others, TRAIN, reference).values()
    assert all(np.isnan(v) for v in values.values())


def test_what_is_found_stays_within_the_false_alarms():
    y, score = np.repeat([0, 1], [200, 4]), np.concatenate([np.arange(200), [500, 500, 10, 10]])
    assert membership.true_positive_rate(y, score) == 0.5


def test_the_suite_tells_a_copy_from_its_floor_with_an_interval():
    holdout = table(1_600, 6)
    found = evaluate(TRAIN, TRAIN.sample(frac=1, random_state=1), holdout, only=["membership"])
    low, high = found.floor.interval["membership AUC"]
    assert low < 0.5 < high
    assert found.synthetic.interval["membership AUC"][0] > high
    assert set(found.floor.spread) == set(membership.NAMES)


def test_the_interval_of_an_area_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        y = np.repeat([0, 1], 80)
        score = rng.normal(size=160)
        low, high = auc_interval(y, score, np.arange(160), n_boot=200)
        hits += low <= 0.5 <= high
    assert 0.88 <= hits / 100 <= 1


def test_the_weighted_area_is_that_of_repeated_rows():
    from metrics.bootstrap import _weighted_auc

    rng = np.random.default_rng(3)
    score = np.sort(rng.integers(0, 6, 40))
    y, times = rng.integers(0, 2, 40), rng.integers(0, 4, 40)
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    weighted = _weighted_auc((times * (y == 0))[None], (times * (y == 1))[None], ends)[0]
    assert weighted == pytest.approx(auc(np.repeat(y, times), np.repeat(score, times)), abs=1e-12)


def test_rows_of_one_day_widen_the_interval():
    rng = np.random.default_rng(4)
    y, day = np.tile([0, 1], 500), np.repeat(np.arange(20), 50)
    score = rng.normal(size=20)[day] * (2 * y - 1) + 0.1 * rng.normal(size=1000)
    by_day, by_row = (auc_interval(y, score, b) for b in (day, np.arange(1000)))
    assert by_day[1] - by_day[0] > 2 * (by_row[1] - by_row[0])


def test_the_attacks_are_those_of_brute_force():
    members, others, reference = (table(n, s) for n, s in ((60, 7), (60, 8), (90, 9)))
    made = pd.concat([members[:20], table(50, 10)], ignore_index=True)
    asked = pd.concat([members, others], ignore_index=True)
    points = {
        name: one_hot(reference, t)
        for name, t in (("asked", asked), ("made", made), ("reference", reference))
    }
    near, far = (cdist(points["asked"], points[name]).min(axis=1) for name in ("made", "reference"))
    y = np.repeat([1, 0], 60)
    values = membership.attack(members, others, made, reference).values()
    ratio = far / np.maximum(near, 1e-9)
    assert values["membership AUC"] == pytest.approx(roc_auc_score(y, ratio), abs=1e-9)
    assert values["membership AUC distance"] == pytest.approx(roc_auc_score(y, -near), abs=1e-9)


def one_hot(base, frame):
    """The embedding of `metrics.density` as a plain matrix."""
    out = []
    for name in ("creationtime", "bytes", "workload"):
        score = normal_scores(base[name])
        out.append(score(frame[name]) / score(base[name]).std())
    share = base["site"].value_counts(normalize=True)
    size = 1 / np.sqrt(1 - np.sum(share**2))
    return np.column_stack(out + [size * (frame["site"] == v) for v in share.index])


def test_a_model_of_disjoint_rows_gives_nobody_away_and_one_of_train_does():
    """SMOTE mixes neighbouring records: of all models the one that leans on them most."""
    holdout = table(1_600, 11)
    found = {}
    for name, rows in (("train", TRAIN), ("others", table(1_500, 12))):
        made = generators.make("smote").fit(rows, seed=0).sample(1_500, seed=0)
        found[name] = evaluate(TRAIN, made, holdout, only=["membership"], target=None).synthetic
    low, high = found["others"].interval["membership AUC"]
    assert low < 0.5 < high and abs(found["others"].values["membership AUC"] - 0.5) < 0.05
    assert found["train"].interval["membership AUC"][0] > 0.55


@pytest.mark.parametrize("names", [["site"], ["bytes"], ["bytes", "workload"], ["site", "done"]])
def test_tables_of_one_kind_are_attacked(names):
    tables = [
        table(n, s).assign(done=np.arange(n) % 3 == 0)[names]
        for n, s in ((300, 13), (200, 14), (400, 15))
    ]
    found = evaluate(*tables, only=["membership"], target=None, n_seeds=1)
    for score in (found.synthetic, found.floor):
        assert abs(score.values["membership AUC"] - 0.5) < 0.15
        low, high = score.interval["membership AUC"]
        assert low <= high


@pytest.mark.parametrize("n", [3, 8, 30])
def test_small_tables_are_attacked_with_a_wide_interval(n):
    train = table(n, 16)
    found = evaluate(train, train, table(4 * n, 17), only=["membership"], target=None, n_seeds=1)
    low, high = found.floor.interval["membership AUC"]
    assert 0 <= low <= found.floor.values["membership AUC"] <= high <= 1
    assert found.synthetic.values["membership AUC"] > 0.75


def test_records_that_train_holds_many_times_are_found_like_others():
    train = pd.concat([TRAIN[:300]] * 5, ignore_index=True)
    found = attacked_in(train, train)
    assert found["membership AUC"] > 0.99
    honest = attacked_in(train, table(1_500, 18))
    assert abs(honest["membership AUC"] - 0.5) < 0.05


def attacked_in(train, synthetic):
    members, others, reference = membership.attack_rows(train, table(3_000, 19), seed=0)
    return membership.attack(members, others, synthetic, reference).values()


def test_a_copy_of_one_number_is_found_between_the_values_of_the_reference():
    names = ["bytes"]
    members, others, reference = membership.attack_rows(
        TRAIN[names], table(3_000, 20)[names], seed=0
    )
    found = membership.attack(members, others, TRAIN[names], reference[:100]).values()
    assert found["membership AUC"] > 0.9


def test_a_bound_keeps_every_role_small_and_the_roles_apart():
    train, test = pd.DataFrame({"x": range(900)}), pd.DataFrame({"x": range(1000, 1500)})
    members, others, reference = membership.attack_rows(train, test, seed=1, most=40)
    assert (len(members), len(others), len(reference)) == (40, 40, 40)
    assert not set(others["x"]) & set(reference["x"]) and members["x"].max() < 900
