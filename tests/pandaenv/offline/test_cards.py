"""pandaenv.offline.cards: the card beside a data set."""

import json

import pytest

from foundations.pages import MARK
from pandaenv.offline import load
from tests.pandaenv.offline.carts import cart


def test_a_data_set_has_a_card_beside_it_and_does_without(tmp_path):
    path = cart(tmp_path / "cart.hdf5")
    card = path.with_suffix(".md").read_text()
    _, front, body = card.split("---\n", 2)
    entries = dict(line.split(": ", 1) for line in front.splitlines())
    assert json.loads(entries["pretty_name"]) == "cart-v0" and "license" not in entries
    assert json.loads(entries["task_categories"]) == ["reinforcement-learning"]
    data = load(path)
    assert f"4 episodes, {len(data['rewards']):,} steps in all" in body
    assert f"| return | {data.returns().min():.2f} | {data.returns().max():.2f} |" in body
    assert 'offline.load("cart.hdf5")' in body and "| seed | `0` |" in body
    assert "| `observations` | 4 numbers | float32 |" in body
    assert str(tmp_path) not in card
    path.with_suffix(".md").unlink()
    assert load(path).returns().tolist() == data.returns().tolist()


@pytest.mark.parametrize("own", [True, False])
def test_a_page_of_the_users_own_is_kept(tmp_path, own):
    page = tmp_path / "cart.md"
    page.write_text("my notes\n" if own else f"{MARK}\nof another set\n")
    cart(tmp_path / "cart.hdf5", episodes=1)
    assert (page.read_text() == "my notes\n") is own
