"""Numbers read from text without the loss of a bit.

In: a column of text. Out: the nearest floats.
"""

import numpy as np
import pandas as pd


def floats(values: pd.Series) -> np.ndarray:
    """Numbers from text, each the nearest to it (pandas' own readers may be a last place off)."""
    return np.array([float(value) for value in values])
