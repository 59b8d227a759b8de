"""Detection of broken records: anomaly scores of surrogates beside isolation forests.

Breaks held-out records in one known way each. They are scored with the `anomaly_score` of fitted
TabDDPMs (of the uniform process the error of denoising a record, of the masked one how unlikely its
least likely column is given the others) and with two scikit-learn isolation forests (categories as
ordinals, and as one-hots) fitted on the same train table. Writes the area under the ROC curve
against untouched records, for each kind of break, to results/anomalies.json. Except for records
after the last one, every broken value lies in the range seen in training, so only the combination
of columns gives a record away.

    python -m benchmarks.anomalies [--rows 1000] [--models DIR ...] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest

import generators
from benchmarks.inputs.arguments import (
    add_reference_options,
    command,
    command_parser,
    new_file,
    whole,
)
from benchmarks.inputs.places import RESULTS
from benchmarks.pretrain import BUNDLED
from benchmarks.report.intervals import table
from benchmarks.report.provenance import provenance, write_json
from generators.tabddpm import UniformTabDDPM
from metrics.detection import auc
from pandaenv import records, reference, schema

OUT = RESULTS / "anomalies.json"
FOREST_ROWS, TREES = 100_000, 200  # train rows a forest sees, trees
TRIES = 200  # draws in search of a value that breaks the rule
RARE = 1e-4  # a ratio of bytes to files beyond this quantile is impossible
GAP = 3.0  # days from a format's first or last record at which it did not exist


def main(arguments: list[str] | None = None) -> None:
    """Break, score, write."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    everything = reference.records(options.days, options.data_seed, options.rate)
    train, holdout = records.split(everything, seed=options.data_seed)
    rows = holdout.sample(2 * options.rows, random_state=options.seed, ignore_index=True)
    normal, base = rows.iloc[: options.rows], rows.iloc[options.rows :].reset_index(drop=True)
    rng = np.random.default_rng(options.seed)
    kinds = {name: broken(base, train, rng) for name, broken in KINDS.items()}
    models = map(generators.load, options.models)
    scorers = {_name(model): model.anomaly_score for model in models} | forests(train)
    result = {
        "what": "AUC of broken rows against untouched ones, 0.5 is chance",
        "normal": len(normal),
        "broken": {name: len(rows) for name, rows in kinds.items()},
        "AUC": {name: score(scorer, normal, kinds) for name, scorer in scorers.items()},
    }
    made = provenance("benchmarks.anomalies", arguments, options.seed)
    print(write_json(options.out, result | made).name)


def _name(model: Any) -> str:
    uniform = isinstance(model, UniformTabDDPM)
    return "TabDDPM uniform, denoising error" if uniform else "TabDDPM masked, likelihood"


def to_markdown(result: dict) -> str:
    """One row for each way of scoring, one column for each kind of break."""
    kinds = list(result["broken"])
    rows = [[name, *(f"{at[k]:.3f}" for k in kinds)] for name, at in result["AUC"].items()]
    return table(["scored by", *kinds], rows)


def score(scorer, normal: pd.DataFrame, kinds: dict[str, pd.DataFrame]) -> dict[str, float]:
    """AUC of each kind."""
    usual = scorer(normal)
    out = {}
    for name, rows in kinds.items():
        y = np.repeat([0, 1], [len(normal), len(rows)])
        out[name] = round(float(auc(y, np.concatenate([usual, scorer(rows)]))), 4)
    print(out, file=sys.stderr)
    return out


def many_bytes(base: pd.DataFrame, train: pd.DataFrame, rng) -> pd.DataFrame:
    """More bytes a file than any file has."""
    top = (train["inputfilebytes"] / train["ninputdatafiles"]).quantile(1 - RARE)
    return _rebyte(base, train, rng, lambda ratio: ratio > top)


def few_bytes(base: pd.DataFrame, train: pd.DataFrame, rng) -> pd.DataFrame:
    """Less bytes a file than any file has."""
    low = (train["inputfilebytes"] / train["ninputdatafiles"]).quantile(RARE)
    return _rebyte(base, train, rng, lambda ratio: ratio < low)


def _rebyte(base: pd.DataFrame, train: pd.DataFrame, rng, breaks) -> pd.DataFrame:
    drawn = rng.choice(train["inputfilebytes"].to_numpy(), (len(base), 20 * TRIES))
    return _first(
        base, "inputfilebytes", drawn, breaks(drawn / base["ninputdatafiles"].to_numpy()[:, None])
    )


def strange_site(base: pd.DataFrame, train: pd.DataFrame, rng) -> pd.DataFrame:
    """A site that never ran the job's data type."""
    site, kind = (train[c].cat.codes.to_numpy() for c in ("computingsite", "datatype"))
    ran = np.zeros((site.max() + 1, kind.max() + 1), bool)
    ran[site, kind] = True
    drawn = rng.choice(site, (len(base), TRIES))
    out = _first(
        base.assign(computingsite=base["computingsite"].cat.codes),
        "computingsite",
        drawn,
        ~ran[drawn, base["datatype"].cat.codes.to_numpy()[:, None]],
    )
    dtype = train["computingsite"].dtype
    return out.assign(computingsite=pd.Categorical.from_codes(out["computingsite"], dtype=dtype))


def broken_workload(base: pd.DataFrame, train: pd.DataFrame, rng) -> pd.DataFrame:
    """A thousand times more work, or less, than recorded."""
    factor = np.where(rng.random(len(base)) < 0.5, 1e3, 1e-3)
    work = (base["workload"] * factor).clip(train["workload"].min(), train["workload"].max())
    return base.assign(workload=work)


def wrong_time(base: pd.DataFrame, train: pd.DataFrame, rng) -> pd.DataFrame:
    """A day on which the job's project and data type had not come up yet, or were gone."""
    span = train.groupby(["project", "datatype"], observed=True)["creationtime"].agg(["min", "max"])
    first, last = span.reindex(pd.MultiIndex.from_frame(base[["project", "datatype"]])).to_numpy().T
    low, high = train["creationtime"].min(), train["creationtime"].max()
    drawn = rng.uniform(low, high, (len(base), TRIES))
    gone = (drawn < first[:, None] - GAP) | (drawn > last[:, None] + GAP)
    return _first(base, "creationtime", drawn, gone)


def late(base: pd.DataFrame, train: pd.DataFrame, rng) -> pd.DataFrame:
    """A time after the last record."""
    after = rng.uniform(1, 10, len(base))
    return base.assign(creationtime=train["creationtime"].max() + after)


def _first(base: pd.DataFrame, column: str, drawn: np.ndarray, ok: np.ndarray) -> pd.DataFrame:
    """Rows with the first of the drawn values (n, tries) that will do; the others are left out."""
    some = ok.any(1)
    value = drawn[np.arange(len(base)), ok.argmax(1)]
    out = base.assign(**{column: value.astype(base[column].dtype)})
    return out[some].reset_index(drop=True)


KINDS = {
    "many bytes a file": many_bytes,
    "few bytes a file": few_bytes,
    "site never ran the data type": strange_site,
    "workload off by 1,000": broken_workload,
    "data type out of its time": wrong_time,
    "after the last record": late,
}


def forests(train: pd.DataFrame) -> dict:
    """Isolation forests over both encodings, as functions of a table."""
    rows = train.sample(min(FOREST_ROWS, len(train)), random_state=0)
    out = {}
    for name, encode in (("forest, ordinal", ordinal), ("forest, one-hot", one_hot)):
        forest = IsolationForest(n_estimators=TREES, random_state=0).fit(encode(rows))
        out[name] = lambda table, f=forest, e=encode: -f.score_samples(e(table))
    return out


def ordinal(table: pd.DataFrame) -> np.ndarray:
    """Numbers, and categories by their codes."""
    codes = [table[c].cat.codes.to_numpy(float) for c in schema.CATEGORICAL]
    return np.column_stack([table[list(schema.NUMERICAL)].to_numpy(float), *codes])


def one_hot(table: pd.DataFrame) -> np.ndarray:
    """Numbers, and categories by their indicators."""
    hots = [np.eye(len(table[c].cat.categories))[table[c].cat.codes] for c in schema.CATEGORICAL]
    return np.column_stack([table[list(schema.NUMERICAL)].to_numpy(float), *hots])


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("anomalies", __doc__)
    add_reference_options(parser)
    parser.add_argument(
        "--models", type=Path, nargs="+", default=[BUNDLED], help="folders of saved TabDDPMs"
    )
    parser.add_argument("--data-seed", type=whole(0), default=0, help="of the reference workload")
    parser.add_argument(
        "--rows", type=whole(1), default=1000, help="untouched records, and records of each kind"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of rows and breaks")
    parser.add_argument("--out", type=new_file, default=OUT, help="JSON file to write")
    return parser


if __name__ == "__main__":
    command(main)
