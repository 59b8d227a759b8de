"""generators.tabddpm: one name, two processes."""

import json

import numpy as np
import pandas as pd
import pytest

import generators
from generators.base import sealed
from generators.tabddpm import MaskedConfig, MaskedTabDDPM, TabDDPM, UniformConfig, UniformTabDDPM

TABLE = pd.DataFrame({"x": np.arange(60) % 7, "c": list("abc") * 20})


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, MaskedTabDDPM),
        ({"process": "masked", "d_trunk": 8}, MaskedTabDDPM),
        ({"process": "uniform", "d_layers": (8,)}, UniformTabDDPM),
        ({"preset": "paper"}, UniformTabDDPM),
        ({"config": UniformConfig(steps=3)}, UniformTabDDPM),
        ({"config": MaskedConfig(d_head=4)}, MaskedTabDDPM),
    ],
)
def test_the_process_decides_on_the_class(options, kind):
    assert type(TabDDPM(**options)) is kind and type(TabDDPM(**options).config) is kind.Config


def test_options_of_the_other_process_are_refused():
    with pytest.raises(ValueError, match="unknown option 'n_timesteps' of tabddpm"):
        TabDDPM(n_timesteps=10)
    with pytest.raises(ValueError, match="process must be masked or uniform, got 'noisy'"):
        TabDDPM(process="noisy")


def test_a_model_saved_before_there_was_a_choice_is_of_the_uniform_process(tmp_path):
    model = TabDDPM(process="uniform", d_layers=(8,), batch_size=32)
    model.fit(TABLE, steps=2, progress=False).save(tmp_path)
    path = tmp_path / "generator.json"
    card = json.loads(path.read_text())
    del card["config"]["process"]
    path.write_text(json.dumps(sealed(card)))
    loaded = generators.load(tmp_path)
    assert type(loaded) is UniformTabDDPM
    with pytest.raises(ValueError, match="does not fit this tabddpm: it is of the process 'unif"):
        MaskedTabDDPM.load(tmp_path)
    assert loaded.sample(9, seed=1).equals(model.sample(9, seed=1))
