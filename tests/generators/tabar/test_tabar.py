"""generators.tabar: likelihood, sampling, conditioning, what it must not remember."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from generators.counts import Histogram
from generators.drawing import PartialRows, draw_index
from generators.fields import clock, encode, fit_column, list_fields
from generators.layout import Layout
from generators.likelihood import evaluate_nll, select_heads
from generators.ordering import JointCounts, by_information
from generators.plan import Plan
from generators.tabar import TabAR, TabARConfig
from generators.tabar.network import Net
from generators.tabar.sampling import draw_fields
from tests.generators.contracts import assert_resumes
from tests.generators.laws import CONDITIONS, assert_alike, dependent, holding

RNG = np.random.default_rng(8)
N = 4000
SMALL = {"d_trunk": 32, "d_head": 16, "batch_size": 256}


TABLE = dependent()


@pytest.fixture(scope="module")
def fitted():
    return TabAR(**SMALL).fit(TABLE, steps=400, progress=False)


def prepared(config=None, table=TABLE, seed=3):
    """A random network over a table, with weights large enough to matter, and the indices."""
    config = config or TabARConfig(**SMALL)
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    bins = [fit_column(Histogram.of(x, 20), config, j == 0) for j, x in enumerate(numbers.T)]
    order = [(True, 0), (False, 0), (False, 1), (True, 1), (True, 2)]
    fields = list_fields(layout, bins, order, 0)
    net = Net(fields, config.d_trunk, config.d_head)
    x = torch.from_numpy(encode(fields, bins, numbers, codes))
    rng = torch.Generator().manual_seed(seed)
    net.start(x, rng)
    with torch.no_grad():
        for head in net.heads:
            if head.predicts:
                head.outer.mul_(20)
    return net, x, bins


def plain_nll(net, x):
    """-log p(x_i | x_<i) (n, F) in float64, one row and one field at a time."""
    out = np.zeros(x.shape)
    arrays = [{k: v.double().numpy() for k, v in head.state_dict().items()} for head in net.heads]
    for r, row in enumerate(x.numpy()):
        s = np.zeros(net.d)
        for i, (head, w) in enumerate(zip(net.heads, arrays, strict=True)):
            if head.field.kind not in ("cell", "hour", "weekday"):
                logits = w["base"][row[i - 1] if len(w["base"]) > 1 else 0].copy()
                if head.used:
                    h = np.maximum(w["shift"] + w["gain"] * s, 0)
                    h = np.maximum(w["inner_bias"] + h @ w["inner"], 0)
                    logits += w["outer_bias"] + h @ w["outer"]
                out[r, i] = np.log(np.exp(logits - logits.max()).sum()) + logits.max()
                out[r, i] -= logits[row[i]]
            s = s + w["table"][row[i]]
    return out


def test_the_loss_is_that_of_a_plain_float64_restatement():
    net, x, _ = prepared()
    np.testing.assert_allclose(net.nll(x[:40]).detach(), plain_nll(net, x[:40]), atol=2e-4)


def test_an_untrained_model_is_the_columns_own_distributions():
    net, x, _ = prepared()
    net.switch_heads(torch.zeros(len(net.heads), dtype=torch.bool))
    nll = net.nll(x).mean(0)
    for i, f in enumerate(net.fields):
        if f.kind in ("category", "coarse"):
            p = np.bincount(x[:, i]) / len(x)
            assert float(nll[i]) == pytest.approx(-(p[p > 0] * np.log(p[p > 0])).sum(), abs=1e-4)


def test_probabilities_of_all_rows_sum_to_one():
    table = pd.DataFrame({"p": list("aabbc") * 8, "q": list("xyyyx") * 8, "r": [1, 2, 1, 1, 3] * 8})
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    bins = [fit_column(Histogram.of(numbers[:, 0], 20), TabARConfig(), False)]
    fields = list_fields(layout, bins, [(False, 0), (False, 1), (True, 0)], None)
    net = Net(fields, 32, 16)
    x = torch.from_numpy(encode(fields, bins, numbers, codes))
    net.start(x, torch.Generator().manual_seed(0))
    every = torch.tensor(list(itertools.product(*(range(f.size) for f in fields))))
    assert float((-net.nll(every).detach().sum(1)).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_no_field_sees_itself_or_what_comes_after():
    net, x, _ = prepared()
    before = net.nll(x[:30])
    for i, f in enumerate(net.fields):
        changed = x[:30].clone()
        changed[:, i] = (changed[:, i] + 1) % f.size
        after = net.nll(changed)
        assert torch.equal(before[:, :i], after[:, :i])


def test_a_tiny_exact_table_is_learned():
    """x and y are fair coins, z is their exclusive or: no pair depends, all three do."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (2, 3000))
    table = pd.DataFrame({"x": x.astype(bool), "y": y.astype(bool), "z": (x ^ y).astype(bool)})
    model = TabAR(**SMALL, lr=1e-2).fit(table, steps=300, progress=False)
    sample = model.sample(4000, seed=1)
    assert np.mean(sample["z"] == (sample["x"] ^ sample["y"])) > 0.99
    shares = sample.groupby(["x", "y"]).size() / len(sample)
    assert (shares - 0.25).abs().max() < 0.03


def test_sampling_follows_the_likelihood():
    """Frequencies of drawn index pairs agree with p of the network, whatever its weights."""
    net, _, bins = prepared()
    rng = torch.Generator().manual_seed(1)
    n = 40_000
    draw = PartialRows(n, len(net.fields), net.d, len(bins))
    draw = draw_fields(draw, net, range(len(net.fields)), bins, rng)
    rest = torch.stack([head.used for head in net.heads])
    assert rest.any()
    nll = net.nll(draw.x).detach()
    for i, head in enumerate(net.heads):
        if head.field.is_known or not head.used:
            continue
        # -log p averages to the entropy of the heads' own distributions if draws follow them
        s = sum(net.heads[j].table[draw.x[:, j]] for j in range(i))
        logits = head.logits(s, draw.x[:, i - 1]).detach()
        p = logits.softmax(1)
        entropy = -(p * p.clamp(min=1e-30).log()).sum(1)
        error = (nll[:, i] - entropy).std() / math.sqrt(n)
        assert float((nll[:, i] - entropy).mean().abs()) < 4.5 * float(error) + 1e-4


def test_choose_never_takes_what_has_no_probability():
    logits = torch.tensor([[-1e4, 0.0, -1e4, 1.0, -1e4]]).expand(5, -1)
    u = torch.tensor([[0.0], [0.2], [0.5], [1 - 2**-24], [1.0]])
    assert set(draw_index(logits, u).tolist()) == {1, 3}
    p = torch.tensor([[0.1, 0.6, 0.3]]).log().expand(30_000, -1)
    u = torch.rand((30_000, 1), generator=torch.Generator().manual_seed(0))
    share = torch.bincount(draw_index(p, u)) / 30_000
    np.testing.assert_allclose(share, [0.1, 0.6, 0.3], atol=0.01)


def test_hours_and_weekdays_are_read_off_days_since_a_monday():
    days = np.array([0.0, 0.5, 6.999999, 7.0, 12.25, 1 - 2**-53])
    assert clock("weekday", days).tolist() == [0, 0, 6, 0, 5, 0]
    assert clock("hour", days).tolist() == [0, 12, 23, 0, 6, 23]


def test_the_week_is_learned_and_the_time_comes_first(fitted):
    assert [f.kind for f in fitted.net_.fields[:2]] == ["coarse", "fine"]
    assert [f.kind for f in fitted.net_.fields[2:5]] == ["cell", "hour", "weekday"]
    sample = fitted.sample(20_000, seed=3)
    for workday, share in ((True, 0.8), (False, 0.2)):
        rows = sample[(sample["creationtime"] % 7 < 5) == workday]
        assert np.mean(rows["a"] == "work") == pytest.approx(share, abs=0.06)


def test_dependences_and_spikes_are_learned(fitted):
    sample, fresh = fitted.sample(20_000, seed=4), dependent(20_000, seed=9)
    for table_mean in (
        lambda t: np.mean(t["b"][t["a"] == "work"] == "u"),
        lambda t: np.mean(t["spike"][t["b"] == "u"] == 100),
        lambda t: np.mean(t["spike"][t["b"] == "v"] == 100),
    ):
        assert table_mean(sample) == pytest.approx(table_mean(fresh), abs=0.05)
    for key, rows in fresh.groupby("a"):  # 23 apart: 1 is 4 % of the rows on the wrong side
        assert sample["x"][sample["a"] == key].mean() == pytest.approx(rows["x"].mean(), abs=1.0)


@pytest.mark.parametrize("where", CONDITIONS, ids=str)
def test_where_keeps_the_conditional_distribution(fitted, where):
    given, free = fitted.sample(8000, seed=1, where=where), fitted.sample(120_000, seed=2)
    assert_alike(given, free[holding(free, where)])
    assert holding(given, where).all()


def test_where_finds_a_category_of_one_row_in_thousands():
    table = dependent(3000, seed=5)
    table.loc[7, "a"] = "never"
    model = TabAR(**SMALL).fit(table, steps=60, progress=False)
    assert (model.sample(200, seed=0, where={"a": "never"})["a"] == "never").all()


def test_columns_may_come_in_any_order_and_categories_have_any_name(fitted):
    names = {"work": "zz", "rest": "aa"}
    other = TABLE[TABLE.columns[::-1]].assign(a=TABLE["a"].map(names))
    model = TabAR(**SMALL).fit(other, steps=400, progress=False)
    nll = [
        nll_of(m, dependent(4000, 77).pipe(f))
        for m, f in ((fitted, lambda t: t), (model, lambda t: t.assign(a=t["a"].map(names))))
    ]
    assert nll[0] == pytest.approx(nll[1], abs=0.05)
    mine, theirs = model.sample(10_000, seed=0), fitted.sample(10_000, seed=0)
    assert mine["x"].mean() == pytest.approx(theirs["x"].mean(), abs=0.5)
    assert np.mean(mine["a"] == "zz") == pytest.approx(np.mean(theirs["a"] == "work"), abs=0.04)


def nll_of(model, table):
    x = torch.from_numpy(encode(model.net_.fields, model.bins_, *model.layout_.split(table)))
    return float(evaluate_nll(model.net_, x).sum(1).mean())


def test_a_column_that_depends_on_nothing_keeps_its_own_distribution():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({f"c{i}": rng.choice(list("abcdefgh"), 600) for i in range(4)})
    model = TabAR(**SMALL).fit(table, steps=200, progress=False)
    assert not any(head.used for head in model.net_.heads)


def test_a_model_of_heavy_tails_copies_no_more_rows_than_chance():
    """Exact copies among samples, against those among fresh rows of the same law."""

    def heavy(n, seed):
        rng = np.random.default_rng(seed)
        size = np.where(rng.random(n) < 0.1, 1e11, rng.lognormal(20, 2.5, n)).round(-8)
        return pd.DataFrame(
            {"size": size, "files": rng.geometric(0.5, n), "kind": rng.choice(list("ab"), n)}
        )

    train, fresh = heavy(1500, 0), heavy(6000, 1)
    model = TabAR(**SMALL).fit(train, steps=400, progress=False)
    seen = set(map(tuple, train.to_numpy()))
    copies = [
        np.mean([tuple(row) in seen for row in table.to_numpy()])
        for table in (model.sample(6000, seed=2), fresh)
    ]
    assert 0 < copies[1] and copies[0] <= copies[1] + 2 * math.sqrt(copies[1] / 6000)


def test_the_best_weights_on_held_back_rows_are_kept():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"c": rng.choice(list("abcd"), 300), "x": rng.normal(size=300)})
    model = TabAR(**SMALL, dropout=0.0, lr=1e-2).fit(table, steps=600, progress=False)
    validation = model.losses_["validation"]
    assert validation.iloc[-1] > validation.min() + 0.01  # it went on to learn by heart
    assert not any(head.used for head in model.net_.heads)


def test_training_cut_short_ends_in_the_same_bytes(tmp_path):
    assert_resumes(lambda: TabAR(**SMALL), TABLE, tmp_path / "run", steps=130, stop=71)


def test_order_is_by_rule_or_by_name(fitted):
    assert fitted.net_.fields[0][:2] == ("coarse", 0)
    model = TabAR(order=("x", "b", "a", "spike", "creationtime"))
    assert model._order(Layout.from_table(TABLE), None, 0) == [
        (True, 1),
        (False, 1),
        (False, 0),
        (True, 2),
        (True, 0),
    ]
    model = TabAR(order=("x", "nope"))
    with pytest.raises(ValueError, match="order must name all columns"):
        model.fit(TABLE, steps=1, progress=False)
    with pytest.raises(ValueError, match="time must be one of the numerical columns"):
        TabAR(time="a").fit(TABLE, steps=1, progress=False)


def test_mutual_information_is_that_of_the_formula():
    a = np.array([0, 0, 1, 1] * 500)
    b = RNG.integers(0, 5, 2000)
    joint = JointCounts([2, 2, 5])
    for part in np.array_split(np.column_stack([a, a, b]), 3):
        joint.add(part)
    assert joint.shared()[0, 1] == pytest.approx(math.log(2), abs=1e-3)
    assert joint.shared()[2, 0] < 2e-3


def test_the_next_column_is_the_one_most_informed_by_those_before():
    rng = np.random.default_rng(0)
    hub = rng.integers(0, 6, 5000)
    near = np.where(rng.random(5000) < 0.9, hub, rng.integers(0, 6, 5000))
    far = np.where(rng.random(5000) < 0.5, near, rng.integers(0, 6, 5000))
    alone = rng.integers(0, 6, 5000)
    codes = np.column_stack([alone, far, hub, near])
    joint = JointCounts([6] * 4)
    joint.add(codes)
    order = by_information(joint.shared(), [[0, 1, 2, 3]])
    assert order.index(1) > order.index(3) and order[-1] == 0
    assert by_information(joint.shared(), [[0], [1, 2, 3]])[0] == 0


def test_a_budget_is_kept():
    model = TabAR(**SMALL).fit(TABLE, budget=1.0, progress=False)
    assert model.n_steps_ >= 1 and np.isfinite(model.losses_.to_numpy()).all()
    assert Plan(budget=1.0).steps is None


def test_selecting_heads_needs_them_to_beat_their_base():
    net, x, _ = prepared()
    select_heads(net, x[:500])
    assert not any(head.used for head in net.heads)  # random weights beat nothing
