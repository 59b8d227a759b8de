"""Tables side by side."""

import pandas as pd
import pytest

from metrics import frames


def test_numbers_and_their_texts_are_not_compared_as_categories():
    train = pd.DataFrame({"c": pd.Categorical([1, 2, 3])})
    for other in (["1", "2", "9"], [1, 5], [7, 8]):
        table = pd.DataFrame({"c": pd.Categorical(other)})
        if isinstance(other[0], str):
            with pytest.raises(ValueError, match="'c' must be of one type everywhere, got int in"):
                frames.aligned(train, table, "the synthetic table")
        else:
            assert frames.aligned(train, table, "the synthetic table") is not None
