"""Speed of TVAE and CTAB-GAN+ against plain restatements of public code, in one process.

In: a seed. Out: a nested dict of seconds and ratios, of parameter counts, and of where an
iteration of the plain restatement goes. The table is the reference workload of another seed than
the published one.
"""

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.plain.gan import PlainGAN, plain_mixture, plain_rows
from benchmarks.plain.tvae import PlainTVAE
from generators import make
from generators.ctabganplus import CTABGANPlus
from generators.ctabganplus.layers import n_parameters, side_of
from generators.ctabganplus.networks import draw_weights
from generators.ctabganplus.training import Adversaries
from generators.layout import Layout
from generators.modes import Encoding, ModeOptions
from generators.training import initialise
from generators.tvae import Autoencoder, TVAEConfig
from pandaenv import reference

BATCH = 500


@torch.random.fork_rng()  # the restatement draws from the global generator, as the code it restates
def measure(seed: int) -> dict:
    """All lines; needs the table of `reference` with 20,000 rows and some minutes."""
    table = reference.records(days=10, seed=7 + seed, rate=2000)
    layout = Layout.from_table(table)
    numbers, codes = layout.split(table)
    return {
        "threads": torch.get_num_threads(),
        "rows": len(table),
        "modes": modes_line(layout, numbers, codes, seed),
        "tvae": tvae_line(layout, numbers, codes, seed),
        "ctabganplus": ctabganplus_line(layout, numbers, codes, seed),
    }


def seconds(work: Callable[[], object], times: int) -> float:
    """Wall clock of a call, the least of several."""
    best = np.inf
    for _ in range(times):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def modes_line(layout: Layout, numbers: np.ndarray, codes: np.ndarray, seed: int) -> dict:
    """Fit and transform of all numericals: ours against a mixture over all rows and a row loop."""
    encoding, _ = fit_one(layout, numbers[:500], codes[:500], seed)  # scikit-learn is imported here
    rng = np.random.default_rng(seed)
    encoding = Encoding.fit(layout, numbers, ModeOptions(), rng)
    mixtures = [plain_mixture(x) for x in numbers.T]
    ours = (
        seconds(lambda: Encoding.fit(layout, numbers, ModeOptions(), rng), 2),
        seconds(lambda: encoding.encode(numbers, codes, rng), 2),
    )
    plain = (
        seconds(lambda: [plain_mixture(x) for x in numbers.T], 1),
        seconds(
            lambda: [plain_rows(x, m, rng) for x, m in zip(numbers.T, mixtures, strict=True)], 1
        ),
    )
    return {
        "what": "mixtures of all numericals, and all rows encoded by them; plain: fitted to all"
        " rows, and a draw per row",
        "columns": numbers.shape[1],
        "fit": against(ours[0], plain[0]),
        "transform": against(ours[1], plain[1]),
        "both": against(sum(ours), sum(plain)),
    }


def against(ours: float, plain: float) -> dict:
    """Seconds of both and their ratio."""
    return {"seconds": ours, "plain_seconds": plain, "ratio": plain / ours}


def fit_one(layout: Layout, numbers: np.ndarray, codes: np.ndarray, seed: int):
    """An encoding of TVAE's kind and the encoded rows."""
    rng = np.random.default_rng(seed)
    encoding = Encoding.fit(layout, numbers, ModeOptions(), rng)
    return encoding, encoding.encode(numbers, codes, rng)


def tvae_line(layout: Layout, numbers, codes, seed: int) -> dict:
    """A step of 500 and rows sampled a second."""
    encoding, (alpha, x) = fit_one(layout, numbers, codes, seed)
    model = make("tvae")
    model._build(encoding)
    initialise(model.net_, torch.Generator().manual_seed(seed))
    learner = model._learner(torch.from_numpy(alpha).float(), torch.from_numpy(x))
    rows, rng = torch.arange(BATCH), torch.Generator().manual_seed(seed)
    step = seconds(lambda: [learner.step(rows, rng) for _ in range(50)], 3) / 50
    dense = model.net_.row(torch.from_numpy(alpha).float(), torch.from_numpy(x))
    plain = PlainTVAE(dense, alpha.shape[1], encoding.Ks)
    plain_step = seconds(lambda: [plain.step(rows) for _ in range(50)], 3) / 50
    model.layout_ = layout
    drawn = seconds(lambda: model.sample(50_000, seed=seed), 2)
    return {
        "what": "one step of 500 rows; rows of a whole table sampled a second",
        "parameters": n_parameters(Autoencoder(alpha.shape[1], encoding.Ks, TVAEConfig())),
        "step": against(step, plain_step),
        "rows_per_second": 50_000 / drawn,
    }


def ctabganplus_line(layout: Layout, numbers, codes, seed: int) -> dict:
    """An iteration of 500 rows: ours with both kinds of windows, and the plain restatement."""
    model, ours = learner("disjoint", layout, numbers, codes, seed)
    _, overlapping = learner("overlapping", layout, numbers, codes, seed)
    plain = plain_of(ours, seed)
    rows, rng = torch.arange(BATCH), torch.Generator().manual_seed(seed)
    took = seconds(lambda: ours.step(rows, rng), 4)
    took_plain = seconds(plain.iteration, 2)
    net, wide = ours.module, overlapping.module
    return {
        "what": f"one iteration of {BATCH} rows: 5 critic steps, one of the generator, all losses",
        "encoded_width": net.width,
        "critic_image_side": net.side,
        "seconds": took,
        "overlapping_seconds": seconds(lambda: overlapping.step(rows, rng), 1),
        "plain_seconds": took_plain,
        "ratio": took_plain / took,
        "rows_per_second": 20_000 / seconds(lambda: model.sample(20_000, seed=seed), 2),
        "parameters": counts_of(net.critic, net.generator, net.downstream),
        "overlapping_parameters": counts_of(wide.critic, wide.generator, wide.downstream),
        "plain_parameters": counts_of(plain.critic, plain.generator, plain.classifier),
        "plain_parts": parts_of(plain),
    }


def learner(windows: str, layout: Layout, numbers, codes, seed: int) -> tuple:
    """CTAB-GAN+ over the table with random weights, and its learner, ready for a step."""
    model = CTABGANPlus(windows=windows)
    encoding, alpha, x = model._encode(layout, numbers, codes, np.random.default_rng(seed))
    model._build(layout, encoding)
    draw_weights(model.net_, torch.Generator().manual_seed(seed))
    out = Adversaries(model.net_, torch.from_numpy(alpha).float(), torch.from_numpy(x))
    model.layout_, model.conditions_ = layout, out.conditions
    return model, out


def plain_of(ours: Adversaries, seed: int) -> PlainGAN:
    """The plain restatement over the same encoded rows and the same target."""
    net = ours.module
    rows = net.row(ours.alpha, ours.x).double().numpy()
    target = slice(net.target.hidden[0], net.target.hidden[-1] + 1)
    return PlainGAN(rows, net.D, net.Ks, (side_of(net.width), net.side), target, seed)


def parts_of(plain: PlainGAN) -> dict:
    """Seconds of the parts of one critic step of the plain restatement, and of sampling for it."""
    c, _, col, opt = plain.condition(BATCH)
    real, noise = plain.real(col, opt), torch.randn(BATCH, 100)
    with torch.no_grad():
        fake, _ = plain.activate(torch.cat([noise, c], 1))
    whole = torch.cat([real, c], 1), torch.cat([fake, c], 1)
    return {
        "condition_row_by_row": seconds(lambda: plain.condition(BATCH), 2),
        "real_rows_one_by_one": seconds(lambda: plain.real(col, opt), 2),
        "critic_forward": seconds(lambda: plain.critic(plain.image(whole[0])), 2),
        "critic_forward_and_back": seconds(
            lambda: plain.critic(plain.image(whole[0])).mean().backward(), 2
        ),
        "generator_forward_and_back": seconds(
            lambda: plain.activate(torch.cat([noise, c], 1))[0].mean().backward(), 2
        ),
        "penalty_and_back": seconds(lambda: plain.penalty(*whole).backward(), 2),
    }


def counts_of(*nets: torch.nn.Module) -> dict:
    """Parameters of critic, generator and classifier."""
    return dict(zip(("critic", "generator", "classifier"), map(n_parameters, nets), strict=True))
