"""Objects named module:attribute: found in the current folder, refused in one sentence."""

import re
from dataclasses import dataclass

import pytest

from foundations import files, objects

MODULE = '''
"""Objects of a user."""

class Walker:
    def __init__(self, pace=1):
        self.pace = pace
    def walk(self):
        return self.pace

class Needs(Walker):
    def __init__(self, pace):
        super().__init__(pace)

made = Walker(7)
nothing = object()
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with two modules of a user's own, of which one is broken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walkers_of_mine.py").write_text(MODULE)
    (tmp_path / "broken_of_mine.py").write_text("1 / 0")
    return tmp_path


def test_a_class_is_instantiated_and_an_object_is_taken_as_it_is(here):
    assert objects.named("walkers_of_mine:Walker", ["walk"]).walk() == 1
    assert objects.named("walkers_of_mine:Walker", pace=3).walk() == 3
    assert objects.named("walkers_of_mine:made", [("run", "walk")]).walk() == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("walkers_of_mine", "an object must be named module:attribute, got 'walkers_of_mine'"),
        (":Walker", "an object must be named module:attribute, got ':Walker'"),
        ("a/b.py:Walker", "an object must be named module:attribute, got 'a/b.py:Walker'"),
        ("nowhere_:Walker", "the module 'nowhere_' cannot be imported: No module named 'nowhere_'"),
        ("broken_of_mine:Walker", "'broken_of_mine' cannot be imported: division by zero"),
        ("walkers_of_mine:Nobody", "'walkers_of_mine' has no attribute 'Nobody'"),
        ("walkers_of_mine:Needs", "cannot be instantiated without arguments: "),
        (
            "walkers_of_mine:nothing",
            "walkers_of_mine:nothing must have the methods rest and run or walk; rest is missing",
        ),
    ],
)
def test_what_is_no_such_object_is_refused_in_one_sentence(here, name, message):
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        objects.named(name, ["rest", ("run", "walk")])
    assert "\n" not in str(refused.value)


@dataclass
class Local:
    x: int = 0


def test_the_digest_of_an_object_is_that_of_the_file_of_its_class():
    assert objects.source_digest(Local()) == files.digest(__file__)
    assert objects.source_digest(3) is None
