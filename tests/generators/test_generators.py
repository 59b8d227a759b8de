"""One contract for every generator of the registry: a new entry is tested by being registered."""

import json
import pickle
import subprocess
import sys
from dataclasses import fields
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import generators
from generators import options
from generators.base import CARD, sealed
from tests.foundations.odd_tables import odd_table
from tests.generators import contracts, strategies
from tests.generators.contracts import assert_like, make

RNG = np.random.default_rng(11)
N = 160
MIXED = pd.DataFrame(
    {
        "time": np.sort(RNG.random(N)) * 150,
        "files": RNG.poisson(4, N),
        "huge": RNG.integers(0, 2**53, N),
        "bytes": np.where(RNG.random(N) < 0.2, 1e11, RNG.lognormal(20, 2, N)),
        "constant": 7,
        "float32": RNG.random(N).astype("float32"),
        "site": pd.Categorical(RNG.choice(list("xyz"), N), categories=list("wxyz")),
        "text": RNG.choice(["p", "<q>"], N),
        "flag": RNG.random(N) < 0.3,
        "same": "only",
    }
)
TABLES = {
    "mixed": MIXED,
    "no numericals": MIXED[["site", "text", "flag"]],
    "no categoricals": MIXED[["time", "files", "bytes"]],
    "all constant": MIXED[["constant", "same"]],
    "one row": MIXED.iloc[:1],
    "two rows": MIXED.iloc[:2],
    "one column": MIXED[["bytes"]],
    "dates, spans, gaps": odd_table(),
    "300 categories": pd.DataFrame({"c": [f"c{i % 300}" for i in range(600)], "x": range(600)}),
}


def fit(name, table=MIXED, **options):
    return contracts.fit(name, table, **options)


@pytest.fixture(params=contracts.ALL, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fitted():
    return {name: fit(name) for name in contracts.ALL}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_schema_out_is_schema_in(name, table):
    assert_like(fit(name, table).sample(70, seed=1), table, 70)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(table=strategies.tables(max_rows=300))
def test_any_table_is_learned_sampled_and_saved(name, table):
    contracts.assert_contract(name, table)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(table=strategies.tables())
def test_any_table_is_learned_sampled_and_saved_often(name, table):
    contracts.assert_contract(name, table)


@pytest.mark.parametrize("kind", strategies.KINDS)
def test_every_kind_of_column_alone(name, kind):
    contracts.assert_contract(name, strategies.build([kind], 40, seed=0))


def test_same_seed_same_bytes(name):
    samples = [fit(name, seed=3).sample(40, seed=5) for _ in range(2)]
    pd.testing.assert_frame_equal(*samples, check_exact=True)


def test_another_seed_another_sample(name, fitted):
    assert not fitted[name].sample(40, seed=5).equals(fitted[name].sample(40, seed=6))


def test_sampling_does_not_depend_on_samples_before(name, fitted):
    first = fitted[name].sample(20, seed=5)
    fitted[name].sample(33, seed=9)
    pd.testing.assert_frame_equal(first, fitted[name].sample(20, seed=5), check_exact=True)


def test_the_table_is_left_alone(name):
    table = MIXED.copy(deep=True)
    fit(name, table).sample(5, seed=0)
    pd.testing.assert_frame_equal(table, MIXED, check_exact=True)


def test_the_index_of_the_table_does_not_matter(name):
    moved = fit(name, MIXED.set_index(np.arange(N) + 1000))
    pd.testing.assert_frame_equal(moved.sample(9, seed=0), fit(name).sample(9, seed=0))


def test_refit_forgets(name):
    other = MIXED[["files", "text"]]
    again = fit(name).fit(other, steps=4, progress=False)
    fresh = fit(name, other)
    pd.testing.assert_frame_equal(again.sample(30, seed=2), fresh.sample(30, seed=2))
    assert set(vars(again)) == set(vars(fresh))


def test_a_fit_that_fails_leaves_no_old_model(name):
    model = fit(name)
    with pytest.raises(ValueError):
        model.fit(MIXED.iloc[:0])
    assert isinstance(model.sample(1), pd.DataFrame)  # refused before anything was forgotten


def test_saved_and_loaded_is_the_same(name, fitted, tmp_path):
    folder = fitted[name].save(tmp_path / "a" / "model")
    loaded = generators.load(folder)
    pd.testing.assert_frame_equal(loaded.sample(40, seed=4), fitted[name].sample(40, seed=4))
    assert loaded.config == fitted[name].config and loaded.n_steps_ == fitted[name].n_steps_
    assert loaded.losses_.equals(fitted[name].losses_)
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".md", ".safetensors"]


def test_half_precision_takes_half_the_room_and_is_kept_exactly(name, tmp_path):
    model = fit(name, MIXED)
    before = weights_bytes(model.save(tmp_path / "whole"))
    sample = model.halve().sample(50, seed=3)
    loaded = generators.load(model.save(tmp_path / "half"))
    pd.testing.assert_frame_equal(loaded.sample(50, seed=3), sample, check_exact=True)
    weights = sum(a.nbytes for a in model._to_arrays().values() if a.dtype == np.float32)
    assert before - weights_bytes(tmp_path / "half") >= 0.4 * weights
    assert weights or name == "smote"


def test_a_weight_beyond_half_precision_is_refused():
    model = fit("tabar", MIXED)
    for weights in model.net_.parameters():
        weights.data.fill_(1e6)
    with pytest.raises(ValueError, match="tabar has weights beyond half precision, in weights"):
        model.halve()


def weights_bytes(folder):
    return sum(path.stat().st_size for path in folder.glob("weights-*"))


def test_saving_over_another_model_replaces_it_whole(name, fitted, tmp_path):
    fit(name, MIXED[["files", "text"]]).save(tmp_path)
    fitted[name].save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert list(generators.load(tmp_path).sample(1).columns) == list(MIXED.columns)


def test_in_memory_objects_pickle(name, fitted):
    copy = pickle.loads(pickle.dumps(fitted[name]))
    pd.testing.assert_frame_equal(copy.sample(9, seed=4), fitted[name].sample(9, seed=4))


@pytest.mark.parametrize("cut", [0, 10, 500, -1])
def test_truncated_weights_are_refused(name, fitted, tmp_path, cut):
    (weights,) = fitted[name].save(tmp_path).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:cut])
    with pytest.raises(ValueError, match="holds no whole saved generator"):
        generators.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "other"}'])
def test_a_damaged_card_is_refused(name, fitted, tmp_path, text):
    (fitted[name].save(tmp_path) / CARD).write_text(text)
    with pytest.raises(ValueError, match="holds no whole saved generator"):
        generators.load(tmp_path)


CHANGES = [
    {"generator": "nope"},
    {"sha256": "../../etc/passwd"},
    {"config": {"import os": 1}},
    {"columns": [{"name": "x"}]},
    {"columns": []},
    {"format": "generators/99"},
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seal", [sealed, dict])
def test_a_foreign_card_is_refused(name, fitted, tmp_path, change, seal):
    path = fitted[name].save(tmp_path) / CARD
    path.write_text(json.dumps(seal({**json.loads(path.read_text()), **change})))
    with pytest.raises(ValueError, match="holds no whole saved|does not fit|unknown generator"):
        generators.load(tmp_path)


def test_an_empty_folder_holds_no_generator(tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved generator in"):
        generators.load(tmp_path)


def test_sampling_before_fit_is_refused(name):
    with pytest.raises(NotFittedError, match=f"{contracts.make(name).name} is not fitted"):
        make(name).sample(1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"n": -3}, "n must be a whole number of at least 0, got -3"),
        ({"n": 2.5}, "n must be a whole number of at least 0, got 2.5"),
        ({"n": 1, "seed": -1}, r"seed must be a whole number of at least 0 .*, got -1"),
        ({"n": 1, "seed": 2**64}, r"seed must be .* below 2\*\*64, got 18446744073709551616"),
        ({"n": 1, "where": {"nope": 1}}, r"where takes the columns \[.*\], got 'nope'"),
        (
            {"n": 1, "where": {"files": "many"}},
            r"files: where takes a number or a range \(low, high\)",
        ),
        ({"n": 1, "where": {"files": (3, 1)}}, "files: a range must not end before it begins"),
        ({"n": 1, "where": {"files": (-9, -5)}}, r"files: no value in \[-9, -5\] was seen"),
        ({"n": 1, "where": {"site": []}}, "site: where needs at least one category"),
        ({"n": 1, "where": {"site": "w"}}, "site: 'w' was not seen in training"),
    ],
)
def test_wrong_arguments_of_sample_get_a_sentence(name, fitted, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        fitted[name].sample(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seed": "x"}, "seed must be a whole number of at least 0 .*, got 'x'"),
        ({"seed": 2**64}, r"seed must be .* below 2\*\*64, got 18446744073709551616"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"budget": -1.0}, "budget must be positive and finite, got -1.0"),
        ({"budget": float("nan")}, "budget must be positive and finite, got nan"),
        ({"table": MIXED.assign(bytes=np.inf)}, "bytes: 160 of 160 rows are not finite"),
        (
            {"table": MIXED.assign(site=[[1]] * 160)},
            r"site: categories must be .*, e.g. \[1\]",
        ),
        (
            {"table": MIXED.assign(site=pd.Series(["half \ud800", "b"] * 80, dtype=object))},
            r"site: categories must be Unicode, got 'half \\ud800'",
        ),
        ({"table": MIXED.assign(bytes=1j)}, "bytes: dtype must be .* got complex128"),
        ({"table": pd.concat([MIXED, MIXED], axis=1)}, "column names must differ"),
    ],
)
def test_wrong_arguments_of_fit_get_a_sentence(name, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(name).fit(**{"table": MIXED, "progress": False, **arguments})


def test_the_largest_seed_is_one(name):
    model = fit(name, seed=2**64 - 1)
    where = {"site": "x", "files": (4, None)}  # rejection draws with the seeds after it
    sample = model.sample(1_500, seed=2**64 - 1, where=where)
    assert set(sample["site"]) == {"x"} and sample["files"].min() >= 4


def test_an_unfitted_twin_has_the_same_options(name, fitted):
    model = make(name, **({"k": 3} if name == "smote" else {}))
    twin = clone(model)
    assert type(twin) is type(model) and twin.config == model.config
    assert set(vars(twin)) == {"config"} and not hasattr(clone(fitted[name]), "layout_")
    assert twin.get_params() == {
        f.name: getattr(model.config, f.name) for f in fields(model.config)
    }


def test_options_can_be_changed_until_they_are_wrong(name):
    option, value, bad = {"smote": ("k", 3, 0)}.get(name, ("batch_size", 7, 0))
    model = fit(name)
    assert model.set_params(**model.get_params()) is model and len(model.sample(1)) == 1
    with pytest.raises(ValueError, match=f"{option} must be a whole number"):
        model.set_params(**{option: bad})
    with pytest.raises(ValueError, match=f"unknown option 'nope' of {model.name}"):
        model.set_params(nope=1)
    assert model.set_params(**{option: value}).get_params()[option] == value
    with pytest.raises(NotFittedError):
        model.sample(1)


def test_the_published_recipe_is_a_change_of_many_options():
    model = make("tabddpm-uniform", d_embed=7).set_params(preset="paper", steps=9)
    published = generators.make("tabddpm", preset="paper", steps=9)
    assert model.get_params() == published.get_params()
    assert clone(published).get_params() == published.get_params()


def test_a_text_like_that_of_missing_ones_was_not_seen(name):
    gappy = MIXED[["files", "text"]].assign(text=MIXED["text"].mask(MIXED["flag"]))
    model = fit(name, gappy)
    assert model.sample(20, where={"text": None})["text"].isna().all()
    with pytest.raises(ValueError, match=r"text: '\(missing\)' was not seen in training"):
        model.sample(1, where={"text": "(missing)"})
    later = gappy.assign(text="(missing)")
    assert (model.split(later)[1] == -1).all() and (model.split(gappy)[1] >= 0).all()
    if name == "tabddpm":
        with pytest.raises(ValueError, match=r"text: '\(missing\)' was not seen in training"):
            model.impute(later)


def test_no_rows_on_request(name, fitted):
    assert_like(fitted[name].sample(0), MIXED, 0)


def test_missing_values_are_sampled_as_often_as_they_are_and_on_request(name):
    table = odd_table(300)
    model = fit(name, table, steps=60 if name != "smote" else 1)
    sample = model.sample(600, seed=1)
    assert sample.isna().to_numpy().mean() == pytest.approx(table.isna().to_numpy().mean(), abs=0.1)
    where = {"number_gaps": None, "level_gaps": "a", "date": ("2024-01-02", "2024-01-04 12:00")}
    rows = model.sample(20, seed=1, where=where)
    assert rows["number_gaps"].isna().all() and (rows["level_gaps"] == "a").all()
    assert rows["date"].between("2024-01-02", "2024-01-04 12:00").all()
    known = model.sample(20, seed=1, where={"number_gaps": (-0.5, 0.5)})["number_gaps"]
    assert known.between(-0.5, 0.5).all()


def test_where_is_obeyed(name, fitted):
    sample = fitted[name].sample(30, seed=1, where={"site": "y", "flag": True, "same": "only"})
    assert len(sample) == 30 and set(sample["site"]) == {"y"} and sample["flag"].all()
    assert_like(sample, MIXED, 30)


def test_losses_have_a_row_a_window(name, fitted):
    losses = fitted[name].losses_
    assert losses.empty or (losses["step"].iloc[-1] == 4 and np.isfinite(losses).all().all())


def test_unknown_names_list_what_is_known():
    known = ", ".join(generators.names())
    with pytest.raises(ValueError, match=f"unknown generator 'nope'; known: {known}"):
        generators.make("nope")


def test_unknown_options_list_what_is_known(name):
    with pytest.raises(ValueError, match=r"unknown option 'nope' of \w+; known: "):
        make(name, nope=1)


def test_importing_the_registry_loads_no_model():
    code = "import sys, generators; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Options


@pytest.mark.parametrize("name", contracts.ALL)
def test_every_number_and_truth_of_a_configuration_has_a_rule(name):
    config = make(name).Config
    types = get_type_hints(config)
    for field in fields(config):
        kinds = {types[field.name], *get_args(types[field.name])}
        if kinds & {int, float, bool}:
            assert options.RULE in field.metadata, field.name


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("tabddpm-uniform", {"steps": -3}, "steps must be a whole number of at least 1, got -3"),
        ("tabddpm-uniform", {"steps": "a"}, "steps must be a whole number of at least 1, got 'a'"),
        ("tabddpm", {"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ("tabddpm", {"lr": "x"}, "lr must be positive and finite, got 'x'"),
        ("tabddpm-uniform", {"n_timesteps": 0}, "n_timesteps must be a whole number of at"),
        (
            "tabddpm-uniform",
            {"d_layers": 5},
            "d_layers must be one or more whole numbers of at least 1",
        ),
        (
            "tabddpm-uniform",
            {"d_layers": ()},
            r"d_layers must be one or more whole numbers .* got \(\)",
        ),
        ("tabddpm", {"ema": 2}, r"ema must be in \[0, 1\), got 2"),
        (
            "tabddpm-uniform",
            {"n_cells": -1},
            "n_cells must be a whole number of at least 1, got -1",
        ),
        ("tabddpm-uniform", {"calibrate": "no"}, "calibrate must be True or False, got 'no'"),
        (
            "tabddpm-uniform",
            {"preset": "paper", "warmup": -1},
            "warmup must be a whole number of at leas",
        ),
        ("tabddpm", {"shuffled": 2}, r"shuffled must be in \[0, 1\], got 2"),
        ("tabddpm", {"process": "other"}, "process must be masked or uniform, got 'other'"),
        ("tvae", {"weight": float("nan")}, "weight must be positive and finite, got nan"),
        ("ctabganplus", {"tau": 0}, "tau must be positive and finite, got 0"),
        ("smote", {"k": "a"}, "k must be a whole number of at least 1, got 'a'"),
        ("smote", {"k": 2.5}, "k must be a whole number of at least 1, got 2.5"),
        ("smote", {"k": 0}, "k must be a whole number of at least 1, got 0"),
        ("tabar", {"validation": 1.0}, r"validation must be in \[0, 1\), got 1.0"),
    ],
)
def test_a_wrong_option_is_refused_when_a_generator_is_made(name, option, message):
    with pytest.raises(ValueError, match=message):
        make(name, **option)
