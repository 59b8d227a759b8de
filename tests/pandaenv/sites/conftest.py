"""What the tests of sites share."""

import pytest

from pandaenv.sites import Catalogue, catalogue


@pytest.fixture(scope="module")
def everything() -> Catalogue:
    """The embedded catalogue."""
    return catalogue("all")
