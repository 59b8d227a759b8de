"""Catalogues as CSV files: adding one is a file, and a broken one is refused."""

from pathlib import Path

import gymnasium as gym
import pytest

import pandaenv  # noqa: F401  registers the environments
from pandaenv import sites
from pandaenv.sites import catalogue
from pandaenv.workload import Trace
from tests.pandaenv.simulator.grids import records


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a readable CSV file"),
        ("name,tier\nA,1\n", "needs the column 'cloud'"),
        ("{head}\n", "needs at least one row"),
        ("{head}\n,1,X,5,10,1,1,0\n", "every site needs a name, row 0 has none"),
        ("{head}\nA,1,X,5,,1,1,0\n", "power must be a finite number, got 'nan' at site 'A'"),
        ("{head}\nA,1,X,5,fast,1,1,0\n", "power must be a finite number, got 'fast' at site 'A'"),
        ("{head}\nA,1,X,5,-3,1,1,0\n", "power must be positive, got -3.0 at site 'A'"),
        ("{head}\nA,1,X,5,9,1,1,0\nA,1,X,5,9,1,1,0\n", "distinct, got 'A' 2 times"),
    ],
)
def test_a_broken_file_is_refused_by_its_name(tmp_path, text, message):
    path = tmp_path / "grid.csv"
    path.write_text(text.format(head=",".join(sites.COLUMNS)))
    with pytest.raises(ValueError, match=message) as error:
        catalogue(path)
    assert str(error.value).startswith(str(path))


GRID = """name,tier,cloud,cores,power,disk,ingress,failure_rate,note
near,1,A,100,10,1e15,1e9,0.05,any other column is ignored
far,2,B,200,12,1e14,1e8,0,
"""


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_new_catalogue_is_one_csv(tmp_path, as_path):
    """Named by its path alone, it serves wherever sites are asked for."""
    (tmp_path / "mine.csv").write_text(GRID)
    path = as_path(tmp_path / "mine.csv")
    grid = catalogue(path)
    assert grid.names == ("far", "near") and grid.cores.tolist() == [200, 100]
    jobs = records(n=3000)
    assert Trace(jobs).stream(grid, rate=200, load=0.6).catalogue.names == grid.names
    env = gym.make("PandaSiteAllocationTier1-v0", sites=path, workload=jobs, rate=200,
                   episode_jobs=20)  # fmt: skip
    assert env.action_space.n == 2
