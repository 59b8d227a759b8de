"""The bundled pools, and pools in files."""

import hashlib
import json
import subprocess
import sys

import pytest

from foundations.units import WEEK_S
from pandaenv import sites, workload
from pandaenv.workload import Synthetic


def test_a_pool_written_anew_is_read_anew(records, tmp_path):
    path = tmp_path / "pool.parquet"
    for factor in (1, 2):
        records.assign(workload=factor * records["workload"]).to_parquet(path)
        assert Synthetic(path).records["workload"].sum() == factor * records["workload"].sum()


@pytest.mark.parametrize("name", sorted(workload.BUNDLED))
def test_a_bundled_pool_is_the_one_on_its_card_and_opens_by_name(name):
    pool = workload.BUNDLED[name]
    card = json.loads((pool.parent / "card.json").read_text())
    assert hashlib.sha256(pool.read_bytes()).hexdigest() == card["pool"]["sha256"]
    assert len(workload.make(name).records) == card["pool"]["rows"] == 330_000


def test_the_bundled_pool_spans_eight_weeks_at_the_default_rate():
    stream = Synthetic().stream(sites.catalogue(40), rate=5_500, load=0.6)
    assert stream.duration == 8 * WEEK_S
    assert abs(stream.rate / 5_500 - 1) < 0.02
    assert abs(stream.realised_load / 0.6 - 1) < 1e-3


def test_the_bundled_pool_is_read_when_asked_for_and_without_torch():
    code = (
        "import sys; from pandaenv import workload; pool = workload.make('tabddpm')\n"
        "assert 'records' not in vars(pool)\n"
        "assert len(pool.records) > 300_000 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
