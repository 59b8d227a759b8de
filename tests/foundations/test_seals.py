"""foundations.seals: a change of any entry is found."""

import json

import pytest

from foundations.seals import is_sealed, sealed

ENTRIES = {"score": 0.1 + 0.2, "of": ["a", None], "n": 3}


def test_a_sealed_object_is_known_again_also_after_json():
    whole = sealed(ENTRIES)
    assert is_sealed(whole) and is_sealed(json.loads(json.dumps(whole)))
    assert is_sealed(dict(reversed(whole.items()))) and sealed(whole) == whole


@pytest.mark.parametrize(
    "change",
    [{"score": 0.3}, {"n": 4}, {"more": 1}, {"seal": ""}, {"of": ["a"]}],
)
def test_a_change_is_found(change):
    assert not is_sealed(sealed(ENTRIES) | change)


@pytest.mark.parametrize("other", [None, [], "text", {}, ENTRIES])
def test_what_has_no_seal_is_not_sealed(other):
    assert not is_sealed(other)
