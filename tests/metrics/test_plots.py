"""metrics.plots: whatever data are called, a figure is XML that a browser shows."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from metrics import plots

ODD = ["bell \x07", "nul \x00", "escape \x1b[31m", "next line \x85", "none \uffff", "half \ud800"]
LEVELS = pd.Series(np.resize(np.array([*ODD, "a&b <c>"], dtype=object), 70), dtype=object)
TABLE = pd.DataFrame({"x\x01": np.arange(70.0), "c\x02": LEVELS})


@pytest.mark.filterwarnings("ignore:Glyph")
def test_what_no_browser_shows_is_the_replacement_character():
    figures = [
        plots.numericals(TABLE, {"model\x03": TABLE}),
        plots.categories(TABLE, {"model\x03": TABLE}),
        plots.cascade({"stages": [{"stage": "s\x04", "kept": 3, "dropped": {"why\x05": 2}}]}),
        plots.learning({"model\x03": pd.DataFrame({"step": [1, 2], "nll\x06": [2.0, 1.0]})}),
    ]
    for figure in figures:
        text = plots.svg(figure)
        ElementTree.fromstring(text.encode())
        assert "\ufffd" in text and not plots.UNSHOWN.search(text)


@pytest.mark.parametrize("word", ["Zürich", "東京", "a\tb\nc", "🙂"])
def test_other_text_stays_as_it_is(word):
    assert plots._short(word) == " ".join(word.split())
