"""The command that makes the bundled surrogates, on a table of a few hundred rows."""

import json

import pytest

from benchmarks import pretrain

pytestmark = pytest.mark.slow
FEW = [
    "--generator",
    "tabar",
    "--days",
    "2",
    "--rate",
    "400",
    "--steps",
    "3",
    "--pool",
    "300",
    "--judged",
    "100",
    "--out",
]


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundled")
    pretrain.main([*FEW, str(folder)])
    return folder


def test_a_pool_can_be_scored_anew(bundled):
    path = bundled / "card.json"
    before = json.loads(path.read_text())
    pool = (bundled / "pool.parquet").read_bytes()
    path.write_text(json.dumps(before | {"scores": "forgotten"}))
    pretrain.main([*FEW, str(bundled), "--scores-only"])
    after = json.loads(path.read_text())
    assert after.pop("scored")["command"].endswith("--scores-only")
    assert after == before and (bundled / "pool.parquet").read_bytes() == pool


@pytest.mark.parametrize(("other", "what"), [(["--seed", "1"], "train table"), ([], "pool")])
def test_scores_of_other_rows_are_refused(bundled, other, what, tmp_path):
    for path in bundled.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if what == "pool":
        (tmp_path / "pool.parquet").write_bytes(b"other")
    card = (tmp_path / "card.json").read_bytes()
    with pytest.raises(SystemExit, match=f"card.json: the {what} must be the card's, .* got "):
        pretrain.main([*FEW, str(tmp_path), *other, "--scores-only"])
    assert (tmp_path / "card.json").read_bytes() == card
