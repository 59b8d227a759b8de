"""What the tests of workloads share."""

import numpy as np
import pandas as pd
import pytest

from pandaenv import sites
from pandaenv.workload import Stream, Synthetic, Trace
from tests.pandaenv.workload.burst_records import CATALOGUE, burst_records


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return burst_records()


@pytest.fixture(scope="module")
def stream(records) -> Stream:
    return Trace(records).stream(CATALOGUE, rate=2_000, load=0.6)


@pytest.fixture(scope="module")
def rows():
    """The bundled pool: rows of a surrogate, independent of each other."""
    return Synthetic().records


@pytest.fixture(scope="module")
def arrived(rows):
    return Synthetic(rows).arrivals(sites.catalogue(40), np.random.default_rng(1))
