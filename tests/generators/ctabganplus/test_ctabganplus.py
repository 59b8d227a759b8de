"""CTAB-GAN+: conditions, losses and penalty against plain restatements, and what sampling keeps."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from generators import make
from generators.ctabganplus import CTABGANPlusConfig
from generators.ctabganplus.conditions import Conditions
from generators.ctabganplus.layers import (
    Tiles,
    Windows,
    disjoint_critic,
    n_parameters,
    overlapping_critic,
    side_of,
    stages,
)
from generators.ctabganplus.loss import condition_loss, gradient_penalty, information_loss
from generators.ctabganplus.model import check_memory
from generators.ctabganplus.networks import Networks, draw_weights, gumbel_softmax
from generators.ctabganplus.target import Target
from generators.ctabganplus.training import Adversaries
from generators.modes import ModeOptions
from tests.generators import contracts
from tests.generators.encoded import encoded, rng, sited

RNG = np.random.default_rng(2)
TABLE = sited().drop(columns="status")
SMALL = {"n_channels": 8, "batch_size": 100, "d_downstream": (32,)}
STEPS = 300


def prepared(table=TABLE, **options):
    """Random networks over a table and the learner that would train them."""
    config = CTABGANPlusConfig(**{**SMALL, **options})
    layout, encoding, alpha, x = encoded(table, ModeOptions(general=True))
    target = Target.choose(config.target, layout, encoding)
    net = Networks(encoding, config, target)
    draw_weights(net, rng(7))
    return Adversaries(net, torch.from_numpy(alpha).float(), torch.from_numpy(x)), encoding, layout


@pytest.fixture(scope="module")
def fitted():
    return make("ctabganplus", **SMALL).fit(TABLE, steps=STEPS, progress=False)


def obedience(model, n=2000):
    """Share of rows that hold the category asked for, asked as in training."""
    net, conditions = model.net_, model.conditions_
    col, opt = conditions.draw(n, rng(5), log=True)
    with torch.no_grad():
        row, _ = net.generate(conditions.vector(col, opt), rng(6))
    x = torch.stack([part.argmax(1) for part in row[:, net.D :].split(net.Ks, 1)], 1)
    return float((x.gather(1, col[:, None])[:, 0] == opt).double().mean())


def distance(a, b):
    """Total variation of the frequencies of two columns."""
    shares = [c.value_counts(normalize=True) for c in (a, b)]
    return shares[0].sub(shares[1], fill_value=0).abs().sum() / 2


# Conditions -------------------------------------------------------------------------------------

COLUMNS = RNG.choice(3, 500, p=[0.9, 0.09, 0.01]), RNG.integers(0, 2, 500)
X = torch.tensor(np.column_stack(COLUMNS))


@pytest.mark.parametrize("log", [True, False])
def test_conditions_are_drawn_by_log_frequency_in_training_and_by_frequency_after(log):
    conditions = Conditions.from_table(X, [3, 2])
    col, opt = conditions.draw(60_000, rng(), log)
    assert float((col == 0).double().mean()) == pytest.approx(0.5, abs=0.01)
    for j, K in enumerate((3, 2)):
        count = np.bincount(X[:, j], minlength=K)
        weight = np.log(count + 1) if log else count
        found = np.bincount(opt[col == j], minlength=K) / int((col == j).sum())
        np.testing.assert_allclose(found, weight / weight.sum(), atol=0.01)


def test_real_rows_hold_the_category_asked_for_and_each_comes_alike():
    conditions = Conditions.from_table(X, [3, 2])
    col, opt = conditions.draw(5000, rng(), True)
    rows = conditions.rows(col, opt, rng(1))
    assert (X[rows].gather(1, col[:, None])[:, 0] == opt).all()
    asked = torch.full((20_000,), 1)
    rows = conditions.rows(torch.zeros_like(asked), asked, rng(2))
    counts = np.bincount(rows, minlength=500)[X[:, 0].numpy() == 1]
    assert counts.min() > 0 and counts.std() < 3 * np.sqrt(counts.mean())


def test_the_vector_has_a_single_one():
    conditions = Conditions.from_table(X, [3, 2])
    c = conditions.vector(torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1]))
    assert c.tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]


def test_a_category_without_rows_is_never_asked_for():
    conditions = Conditions(torch.tensor([5, 0, 3, 0]), [4])
    for log in (True, False):
        assert set(conditions.draw(2000, rng(), log)[1].tolist()) == {0, 2}


# The networks -----------------------------------------------------------------------------------


def test_tiles_undo_windows_and_windows_are_squares_of_the_image():
    image = torch.arange(2 * 64.0).view(2, 64)
    cut = Windows(8, 4)(image)
    assert torch.equal(Tiles(8, 4)(cut), image)
    assert torch.equal(cut[1, 1].view(4, 4), image[1].view(8, 8)[:4, 4:])


def test_the_disjoint_critic_is_a_stack_of_convolutions():
    net = disjoint_critic(8, 3)
    for p in net.parameters():
        torch.nn.init.normal_(p, generator=rng(3))
    image = torch.randn(5, 1, 8, 8, generator=rng(4))
    h = F.conv2d(image, net[1].weight.view(3, 1, 4, 4), stride=4)
    h = F.layer_norm(h.permute(0, 2, 3, 1).flatten(1), (12,), net[3].weight, net[3].bias)
    h = F.leaky_relu(h, 0.2).view(5, 2, 2, 3).permute(0, 3, 1, 2)
    h = F.conv2d(h, net[5].weight.view(6, 2, 2, 3).permute(0, 3, 1, 2)).flatten(1)
    torch.testing.assert_close(net[:6](image.flatten(1)), h)


@pytest.mark.parametrize("width", [3, 60, 215, 430, 900])
def test_disjoint_windows_have_as_many_weights_as_overlapping_ones(width):
    side = side_of(width)
    config, wanted = CTABGANPlusConfig(), n_parameters(overlapping_critic(side, 64))
    table = pd.DataFrame({"c": [f"{i % width}" for i in range(2 * width)]})
    counts = {}
    for windows in ("disjoint", "overlapping"):
        net = prepared(table, **{"windows": windows, "n_channels": config.n_channels})[0].module
        counts[windows] = n_parameters(net.critic), n_parameters(net.generator)
    for ours, paper in zip(counts["disjoint"], counts["overlapping"], strict=True):
        assert paper <= ours < 1.25 * paper + 200
    assert side * side >= width and wanted > 0


def test_sides_and_stages_are_those_of_the_code():
    assert [side_of(w) for w in (1, 17, 65, 257, 577, 1025, 4097)] == [4, 8, 16, 24, 32, 64, 72]
    assert stages(24, 64) == [(1, 24), (64, 12), (128, 6), (256, 3)]
    assert stages(4, 64) == [(1, 4), (64, 2)]


@pytest.mark.parametrize("windows", ["disjoint", "overlapping"])
def test_generated_rows_are_places_and_one_hots(windows):
    learner, encoding, _ = prepared(windows=windows)
    net = learner.module
    row, logits = net.generate(
        learner.conditions.vector(*learner.conditions.draw(50, rng(), True)), rng(1)
    )
    assert row.shape == (50, encoding.width) and logits.shape == (50, sum(net.Ks))
    assert row[:, : net.D].abs().max() < 1
    for part in row[:, net.D :].split(net.Ks, 1):
        torch.testing.assert_close(part.sum(1), torch.ones(50))


def test_gumbel_draws_follow_the_softmax_and_are_never_denormal():
    logits = torch.tensor([[0.0, 1.0, 2.0, -300.0, 300.0]]).repeat(40_000, 1)
    hot = gumbel_softmax(logits, [3, 2], 0.2, rng())
    found = torch.bincount(hot[:, :3].argmax(1), minlength=3) / 40_000
    torch.testing.assert_close(found, logits[0, :3].softmax(0), atol=0.01, rtol=0)
    assert hot.min() > 1e-30 and (hot[:, 4] > 0.999).all()


# The losses -------------------------------------------------------------------------------------


def test_the_gradient_penalty_is_autograd_of_the_formula_on_a_tiny_critic():
    """D(w) = v . tanh(W w): its gradient by hand, the penalty's gradient by differences."""
    W, v = (torch.randn(s, generator=rng(1), dtype=torch.float64) for s in ((4, 3), (4,)))
    real, fake = (torch.randn((6, 3), generator=rng(s), dtype=torch.float64) for s in (2, 3))

    def by_hand(W):
        u = torch.rand((6, 1), generator=rng(9)).double()
        total = 0.0
        for w in u * real + (1 - u) * fake:
            slope = W.T @ (v * (1 - torch.tanh(W @ w) ** 2))
            total += (math.sqrt(float((slope**2).sum())) - 1) ** 2
        return total / 6

    W.requires_grad_()
    penalty = gradient_penalty(lambda w: torch.tanh(w @ W.T) @ v, real, fake, rng(9))
    assert float(penalty.detach()) == pytest.approx(by_hand(W.detach()), rel=1e-10)
    (slope,) = torch.autograd.grad(penalty, W)
    for i in range(4):
        step = torch.zeros(4, 3, dtype=torch.float64)
        step[i, i % 3] = 1e-6
        difference = (by_hand(W.detach() + step) - by_hand(W.detach() - step)) / 2e-6
        assert float(slope[i, i % 3]) == pytest.approx(difference, rel=1e-5)


def test_the_condition_loss_equals_a_slow_plain_restatement():
    logits = torch.randn((20, 7), generator=rng(), dtype=torch.float64)
    col, opt = torch.arange(20) % 2, torch.arange(20) % 3
    total = 0.0
    for i in range(20):
        part = logits[i, :3].tolist() if col[i] == 0 else logits[i, 3:].tolist()
        total += math.log(sum(map(math.exp, part))) - part[int(opt[i])]
    assert float(condition_loss(logits, [3, 4], col, opt)) == pytest.approx(total / 20)


def test_the_information_loss_equals_a_slow_plain_restatement():
    real, fake = RNG.normal(size=(30, 5)), RNG.normal(1, 2, size=(30, 5))
    mean = math.sqrt(sum((fake[:, j].mean() - real[:, j].mean()) ** 2 for j in range(5)))
    spread = math.sqrt(
        sum((fake[:, j].std(ddof=1) - real[:, j].std(ddof=1)) ** 2 for j in range(5))
    )
    found = information_loss(torch.from_numpy(real), torch.from_numpy(fake))
    assert float(found) == pytest.approx(mean + spread)
    assert float(information_loss(torch.from_numpy(real), torch.from_numpy(real))) == 0


def test_a_step_of_the_critic_moves_only_the_critic():
    learner, *_ = prepared()
    before = {k: v.clone() for k, v in learner.module.state_dict().items()}
    learner._critic_step(50, rng())
    moved = {
        k.split(".")[0]
        for k, v in learner.module.state_dict().items()
        if not torch.equal(v, before[k])
    }
    assert moved == {"critic"}
    before = {k: v.clone() for k, v in learner.module.state_dict().items()}
    rows = learner._real_rows(torch.zeros(50).long(), torch.zeros(50).long(), rng())
    learner._generator_step(rows, learner._draw_conditions(50, rng())[2], rng())
    moved = {
        k.split(".")[0]
        for k, v in learner.module.state_dict().items()
        if not torch.equal(v, before[k])
    }
    assert moved == {"generator"}


def test_the_target_is_the_last_categorical_that_varies_or_the_one_named():
    table = TABLE.assign(same="only")
    _, encoding, layout = prepared(table)
    last = Target.choose(None, layout, encoding)
    assert last.label == list(range(encoding.width - 4, encoding.width))
    assert sorted(last.shown + last.hidden) == list(range(encoding.width))
    numbers = table.drop(columns=["site", "like", "same"])
    _, encoding, layout = prepared(numbers)
    assert Target.choose(None, layout, encoding) is None
    assert Target.choose("same", *prepared(table)[:0:-1]) is None
    by_mode = Target.choose("x", layout, encoding)
    assert len(by_mode.label) == encoding.modes[0].n_codes and 0 in by_mode.hidden
    with pytest.raises(ValueError, match="target must be one of the columns .* got 'nope'"):
        make("ctabganplus", target="nope", **SMALL).fit(TABLE, steps=1, progress=False)


def test_a_number_of_one_mode_is_predicted_as_a_number():
    table = pd.DataFrame({"y": RNG.normal(size=400), "c": RNG.choice(["a", "b"], 400)})
    _, encoding, layout = prepared(table)
    target = Target.choose("y", layout, encoding)
    assert target.label == [0] and target.n_out == 1
    row, out = torch.tensor([[0.5, 1.0, 0.0]]), torch.tensor([[0.1]])
    assert float(target.loss(out, row)) == pytest.approx(0.5 * 0.4**2)
    model = make("ctabganplus", target="y", **SMALL).fit(table, steps=2, progress=False)
    assert np.isfinite(model.losses_["downstream"]).all()


# Sampling ---------------------------------------------------------------------------------------


def test_the_generator_learns_to_obey_the_condition(fitted):
    condition = fitted.losses_["condition"]
    assert condition.iloc[-30:].mean() < 0.65 * condition.iloc[:30].mean()
    assert obedience(fitted) > 0.35


def test_where_gives_the_category_and_what_goes_with_it(fitted):
    sample = fitted.sample(400, seed=2, where={"site": "d"})
    assert len(sample) == 400 and set(sample["site"]) == {"d"}
    both = fitted.sample(100, seed=2, where={"site": "a", "like": "k_a"})
    assert set(both["site"]) == {"a"} and set(both["like"]) == {"k_a"}


def test_frequencies_come_out_near_those_of_the_table(fitted):
    sample = fitted.sample(5000, seed=1)
    assert distance(TABLE["site"], sample["site"]) < 0.25


def test_values_that_hold_much_of_the_mass_come_as_often_as_they_are_drawn():
    """An atom has no place in a mode, so no place may be held against it."""
    table = pd.DataFrame({"x": np.where(RNG.random(900) < 0.5, 0.0, RNG.normal(5, 1, 900))})
    model = make("ctabganplus", **SMALL).fit(table, steps=2, progress=False)
    assert model.encoding_.modes[0].atoms.tolist() == [0.0] and model.encoding_.smooth == [0]
    assert 0.1 < (model.sample(2000, seed=1)["x"] == 0).mean() < 0.9


def test_numbers_do_not_pile_up_at_the_ends(fitted):
    time = fitted.sample(5000, seed=1)["time"]
    low, high = TABLE["time"].min(), TABLE["time"].max()
    assert (time == low).mean() < 5e-3 and (time == high).mean() < 5e-3


@pytest.mark.slow
def test_permuted_columns_and_renamed_categories_change_only_noise(fitted):
    names = dict(zip("abcd", "zyxw", strict=True))
    other = TABLE[TABLE.columns[::-1]].assign(site=TABLE["site"].map(names))
    model = make("ctabganplus", **SMALL).fit(other, steps=STEPS, progress=False)
    assert distance(other["site"], model.sample(5000, seed=1)["site"]) < 0.25


def test_a_budget_counts_the_preparation():
    model = make("ctabganplus", **SMALL).fit(TABLE, budget=2.0, progress=False)
    assert model.n_steps_ >= 1 and model.seconds_ > 0


def test_unknown_windows_are_refused():
    with pytest.raises(ValueError, match="windows must be disjoint or overlapping, got 'round'"):
        make("ctabganplus", windows="round")


# The whole --------------------------------------------------------------------------------------


def toy(n=5000):
    """Sites, a status and two numbers that hang on the site, a number that hangs on nothing."""
    draw = np.random.default_rng(5)
    site = draw.choice(6, n, p=[0.4, 0.25, 0.15, 0.1, 0.07, 0.03])
    good = draw.random(n) < np.array([0.9, 0.8, 0.6, 0.4, 0.2, 0.1])[site]
    return pd.DataFrame(
        {
            "time": draw.random(n) * 150,
            "x": np.where(site % 2, 3.0, -3.0) + draw.normal(size=n),
            "bytes": np.exp(draw.normal(size=n) + site / 2) * 1e9,
            "site": np.array(list("abcdef"))[site],
            "status": np.where(good, "done", np.where(draw.random(n) < 0.7, "failed", "closed")),
        }
    )


def shortfalls(model, table):
    """How far a sample is from the table: marginals, pairs, and the condition."""
    sample = model.sample(len(table), seed=1)
    for name in ("time", "x", "bytes"):  # fifths of the real column
        cuts = np.quantile(table[name], [0.2, 0.4, 0.6, 0.8])
        table, sample = (
            t.assign(**{name: np.searchsorted(cuts, t[name]).astype(str)}) for t in (table, sample)
        )
    pair = lambda a, b: distance(table[a] + table[b], sample[a] + sample[b])  # noqa: E731
    return {
        "marginals": np.mean([distance(table[c], sample[c]) for c in table]),
        "site and status": pair("site", "status"),
        "site and numbers": (pair("x", "site") + pair("bytes", "site")) / 2,
        "disobedience": 1 - obedience(model),
    }


class UntaughtCritic(Adversaries):
    """Its critic stays as it was."""

    def _critic_step(self, n, rng):
        parameters = [p.detach().clone() for p in self.parts[0]]
        out = super()._critic_step(n, rng)
        with torch.no_grad():
            for p, before in zip(self.parts[0], parameters, strict=True):
                p.copy_(before)
        return out


class Unconditioned(Adversaries):
    """Its generator may leave the condition unheeded."""

    def _disobedience(self, logits, col, opt):
        return 0.0 * logits.sum()


WITHOUT = {"nothing": Adversaries, "critic": UntaughtCritic, "condition": Unconditioned}
ENOUGH = {"marginals": 0.07, "site and status": 0.1, "site and numbers": 0.22, "disobedience": 0.2}


@pytest.mark.slow
@pytest.mark.parametrize("part", WITHOUT)
def test_the_whole_learns_and_does_not_without_its_parts(part):
    """Marginals, pairs and the condition within 450 steps; each lost part shows."""
    model = make("ctabganplus", n_channels=16)
    model.Game = WITHOUT[part]
    model.fit(toy(), steps=450, progress=False)
    found = shortfalls(model, toy())
    missed = {name for name, most in ENOUGH.items() if found[name] > most}
    if part == "critic":
        assert {"marginals", "site and numbers"} <= missed, found
    elif part == "condition":
        assert found["disobedience"] > 0.25, found
    else:
        assert not missed, found
        rare = model._draw(1000, 1, model._rarest({0: 5}))[1][:, 0] == 5
        assert rare.mean() > 0.5  # `where` throws away less than half; a draw unasked holds 3 %


# Training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [TABLE, TABLE[["x", "time"]], TABLE[["site", "like"]]],
    ids=["mixed", "no categoricals", "no numericals"],
)
def test_training_leaves_the_global_generator_alone(table):
    before = torch.random.get_rng_state()
    make("ctabganplus", **SMALL).fit(table, steps=2, progress=False).sample(10)
    assert torch.equal(before, torch.random.get_rng_state())


def test_resume_gives_the_model_of_an_unbroken_run(tmp_path):
    contracts.assert_resumes(
        lambda: make("ctabganplus", **SMALL), TABLE, tmp_path / "run", steps=6, stop=4
    )


def test_a_single_value_beside_an_atom_at_the_end_of_the_integers_is_learned():
    top = 2**53  # and half a unit more is the same float64
    table = pd.DataFrame({"a": [top, top - 1, top - 1], "b": [0.6, 0.1, -0.5]})
    model = make("ctabganplus", **SMALL).fit(table, steps=2, progress=False)
    assert np.isfinite(model.losses_.to_numpy()).all()
    assert set(model.sample(20)["a"]) <= set(table["a"])


def test_more_categories_than_memory_holds_are_refused_before_any_is_taken():
    n = 10_000_000
    with pytest.raises(ValueError, match="needs about 6500 GiB for 10,000,000 categories"):
        check_memory(n)
    check_memory(2)
