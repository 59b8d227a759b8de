"""TabDDPM: Modelling Tabular Data with Diffusion Models.

Kotelnikov, Baranchuk, Rubachev & Babenko (2023), arXiv 2209.15421. Gaussian diffusion of the numericals
(Ho et al. 2020, arXiv 2006.11239) and multinomial diffusion of every categorical (Hoogeboom et al.
2021, arXiv 2102.05379), denoised together by one network.

| symbol | in code | shape |
|---|---|---|
| x_0, x_t of the numericals | `z_0`, `z_t` | (batch, d) standard normal scale |
| x_0, x_t of the categoricals | `x_0`, `x_t` | (batch, C) indices, not one-hot |
| K_i, categories of column i | `Ks` | C integers |
| alpha_t, alpha_bar_t | `alpha_t`, `alpha_bar_t` | (batch, 1) or scalar |
| eps, v | `eps`, `v` | (batch, d) |
| log x_0-hat, before the softmax | `logits` | (batch, sum of K), one slice a column |
| T, t | `n_timesteps`, `t` | t = 0 is the least noise, T - 1 the most |

All algebra of the categoricals is in index space: the posterior of uniform noise needs two indices and
two scalars a column, never a one-hot row.

Departures from the paper: see the DIFF lines. `TabDDPMConfig.paper()` takes most of them back.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators import training
from generators.base import Generator, Plan
from generators.training import Descent, Pace
from generators.transform import Layout, Numericals


@dataclass(frozen=True)
class TabDDPMConfig:
    """The default is ours, each field followed by why; `preset="paper"` gives the published recipe."""

    preset: str = "default"
    n_timesteps: int = 1000  # T of the paper
    steps: int = 100  # of them visited in sampling
    width: int = 256
    depth: int = 3
    d_embed: int = 16
    fourier: int = 4
    n_cells: int = 64
    cells: tuple = ()
    atom_share: float = 0.005
    objective: str = "v+ce"
    dequantise: bool = True
    reveal: float = 0.1
    batch_size: int = 1024
    lr: float = 2e-3
    n_steps: int = 10_000
    warmup: int = 100
    ema: float = 0.999
    weight_decay: float = 0.0


PAPER = dict(
    width=256,
    depth=2,
    d_embed=0,
    fourier=0,
    n_cells=1,
    atom_share=1.0,
    objective="eps+kl",
    dequantise=False,
    reveal=0.0,
    batch_size=4096,
    lr=2e-4,
    n_steps=30_000,
    warmup=0,
    steps=1000,
)


def cosine_schedule(T: int, s: float = 0.008) -> Tensor:
    """alpha_bar (T,) float64 of Nichol & Dhariwal (2021), arXiv 2102.09672, eq. 17; beta <= 0.999."""
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + s) / (1 + s) * math.pi / 2) ** 2
    return torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0)


def q_sample_numerical(z_0, alpha_bar_t, eps):
    return alpha_bar_t.sqrt() * z_0 + (1 - alpha_bar_t).sqrt() * eps


def q_sample_categorical(x_0, alpha_bar_t, Ks, rng):
    """x_t ~ q(x_t | x_0): the old index with probability alpha_bar_t, else a uniform one."""
    u = torch.rand(x_0.shape, generator=rng)
    other = uniform_categories(x_0.shape, Ks, rng)
    return torch.where(u < alpha_bar_t, x_0, other)


def uniform_categories(shape, Ks, rng):
    return (torch.rand(shape, generator=rng, dtype=torch.float64) * Ks).long()


class Denoiser(nn.Module):
    def __init__(self, d: int, Ks: list[int], config: TabDDPMConfig, n_reveal: int):
        super().__init__()
        E, W = config.d_embed, config.width
        self.register_buffer(
            "offset",
            torch.tensor([0, *np.cumsum(Ks)[:-1]]) if Ks else torch.zeros(0, dtype=torch.long),
            persistent=False,
        )
        self.embed = nn.Embedding(max(1, sum(Ks)), E)
        self.register_buffer(
            "freq", 2 * math.pi * 0.25 * 2.0 ** torch.arange(config.fourier), persistent=False
        )
        self.n_reveal = n_reveal
        d_in = d * (1 + 2 * config.fourier) + len(Ks) * E + n_reveal
        self.inp = nn.Linear(d_in, W)
        self.register_buffer(
            "tfreq", torch.exp(-math.log(10_000) * torch.arange(32) / 32), persistent=False
        )
        self.time = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, W * config.depth))
        self.hidden = nn.ModuleList(nn.Linear(W, W) for _ in range(config.depth - 1))
        self.out = nn.Linear(W, d + sum(Ks))
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, z_t, x_t, t, revealed=None):
        B = len(z_t)
        parts = [z_t]
        if len(self.freq):
            a = (z_t[:, :, None] * self.freq).flatten(1)
            parts += [a.sin(), a.cos()]
        if x_t.shape[1]:
            parts.append(self.embed(x_t + self.offset).flatten(1))
        if self.n_reveal:
            parts.append(z_t.new_zeros(B, self.n_reveal) if revealed is None else revealed)
        s = t[:, None] * self.tfreq
        temb = self.time(torch.cat([s.sin(), s.cos()], 1))
        temb = temb.repeat_interleave(B // len(t), 0).chunk(len(self.hidden) + 1, 1)
        h = F.silu(self.inp(torch.cat(parts, 1)) + temb[0])
        for layer, e in zip(self.hidden, temb[1:], strict=True):
            h = h + F.silu(layer(h) + e)
        return self.out(h)


class PaperNet(nn.Module):
    def __init__(self, d, Ks, config):
        super().__init__()
        self.register_buffer(
            "offset",
            torch.tensor([0, *np.cumsum(Ks)[:-1]]) if Ks else torch.zeros(0, dtype=torch.long),
            persistent=False,
        )
        self.onehot = nn.EmbeddingBag(max(1, sum(Ks)), 128, mode="sum")
        self.project = nn.Linear(d, 128) if d else None
        self.register_buffer(
            "tfreq", torch.exp(-math.log(10_000) * torch.arange(64) / 64), persistent=False
        )
        self.time = nn.Sequential(nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 128))
        dims = [128] + [config.width] * config.depth
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(dims, dims[1:]))
        self.out = nn.Linear(dims[-1], d + sum(Ks))

    def forward(self, z_t, x_t, t, revealed=None):
        s = t[:, None] * self.tfreq
        h = self.time(torch.cat([s.cos(), s.sin()], 1)).repeat_interleave(len(z_t) // len(t), 0)
        if z_t.shape[1]:
            h = h + self.project(z_t)
        if x_t.shape[1]:
            h = h + self.onehot(x_t + self.offset)
        for layer in self.hidden:
            h = F.relu(layer(h))
        return self.out(h)


def numerical_loss(out, z_0, z_t, eps, ab, objective, weight):
    target = eps if objective.startswith("eps") else ab.sqrt() * eps - (1 - ab).sqrt() * z_0
    return ((out - target) ** 2 * weight).sum() / weight.numel()


def ce(logits, x_0, x_t, ab, K):
    lse = logits.logsumexp(1)
    l0 = logits.gather(1, x_0[:, None])[:, 0]
    lt = logits.gather(1, x_t[:, None])[:, 0]
    gain = torch.log(ab * K / (1 - ab))
    return torch.logaddexp(lse, lt + gain) - l0 - F.softplus(gain) * (x_0 == x_t)


def kl(logits, x_0, x_t, alpha_t, ab_prev, K):
    """KL(q(x_{t-1}|x_t,x_0) || p) with x_0-hat plugged into the posterior."""
    a, b = (1 - alpha_t) / K, (1 - ab_prev) / K
    log_p = logits.log_softmax(1)
    # log B_k, B_k = ab_prev p_k + b
    log_B = torch.logaddexp(log_p + ab_prev.log()[:, None], b.clamp(min=1e-30).log()[:, None])
    log_B0 = log_B.gather(1, x_0[:, None])[:, 0]
    log_Bt = log_B.gather(1, x_t[:, None])[:, 0]
    same = (x_0 == x_t).to(logits.dtype)
    # normalisers
    Zp = alpha_t * log_Bt.exp() + a
    Bq_t = ab_prev * same + b
    Zq = alpha_t * Bq_t + a
    cross = (
        a * b * log_B.sum(1)
        + a * ab_prev * log_B0
        + alpha_t * b * log_Bt
        + alpha_t * ab_prev * same * log_B0
    ) / Zq
    top = ab_prev + b
    logb = b.clamp(min=1e-30).log()
    own = (
        a * b * ((K - 1) * logb + top.log())
        + a * ab_prev * top.log()
        + alpha_t * b * torch.where(same > 0, top.log(), logb)
        + alpha_t * ab_prev * same * top.log()
    ) / Zq
    return own - Zq.log() - cross + Zp.log()


class Diffusion:
    def __init__(self, net, d, Ks, config, atoms, cells, n_cat, zmax):
        self.net, self.d, self.Ks, self.config = net, d, Ks, config
        self.Kt = torch.tensor(Ks, dtype=torch.float64)
        self.ab = cosine_schedule(config.n_timesteps)
        self.zmax = zmax
        self.n_cat = n_cat

    def loss_terms(self, z_0, mask, x_0, rng):
        cfg = self.config
        B, T = len(z_0), cfg.n_timesteps
        G = 256 if B % 256 == 0 else B
        t = ((torch.arange(G) + torch.rand(G, generator=rng)) * (T / G)).long().clamp(max=T - 1)
        tt = t.repeat_interleave(B // G)
        ab = self.ab[tt].float()[:, None]
        eps = torch.randn(z_0.shape, generator=rng)
        z_t = q_sample_numerical(z_0, ab, eps)
        x_t = q_sample_categorical(x_0, ab, self.Kt, rng)
        revealed = None
        keep = None
        if cfg.reveal and self.n_cat:
            row = torch.rand((B, 1), generator=rng) < cfg.reveal
            revealed = row & (torch.rand((B, self.n_cat), generator=rng) < 0.5)
            x_t = torch.cat(
                [
                    torch.where(revealed, x_0[:, : self.n_cat], x_t[:, : self.n_cat]),
                    x_t[:, self.n_cat :],
                ],
                1,
            )
            keep = ~revealed
            revealed = revealed.float()
        out = self.net(z_t, x_t, t.float(), revealed)
        pieces = out.split([self.d, *self.Ks], 1)
        terms = {}
        if self.d:
            terms["numerical"] = numerical_loss(pieces[0], z_0, z_t, eps, ab, cfg.objective, mask)
        if self.Ks:
            total = 0.0
            ab1 = ab[:, 0]
            if cfg.objective.endswith("kl"):
                prev = torch.where(
                    tt > 0, self.ab[(tt - 1).clamp(min=0)], torch.tensor(1.0, dtype=torch.float64)
                )
                al = (self.ab[tt] / prev).float()
                prev = prev.float()
            for i, K in enumerate(self.Ks):
                if cfg.objective.endswith("ce"):
                    l = ce(pieces[i + 1], x_0[:, i], x_t[:, i], ab1, K)
                else:
                    l = kl(pieces[i + 1], x_0[:, i], x_t[:, i], al, prev, K) * T
                if keep is not None and i < self.n_cat:
                    l = l * keep[:, i]
                total = total + l.mean()
            terms["categorical"] = total / (len(self.Ks) if cfg.objective.endswith("kl") else 1)
        return terms

    @torch.no_grad()
    def sample(self, n, rng, steps, given=None):
        cfg = self.config
        T = cfg.n_timesteps
        times = np.unique(np.round(np.linspace(0, T - 1, steps)).astype(int))[::-1]
        z = torch.randn((n, self.d), generator=rng)
        x = uniform_categories((n, len(self.Ks)), self.Kt, rng)
        for i, t in enumerate(times):
            ab_t = float(self.ab[t])
            ab_s = float(self.ab[times[i + 1]]) if i + 1 < len(times) else 1.0
            pieces = self.net(z, x, torch.tensor([float(t)])).split([self.d, *self.Ks], 1)
            if self.d:
                o = pieces[0]
                z_0 = (
                    (z - math.sqrt(1 - ab_t) * o) / math.sqrt(ab_t)
                    if cfg.objective.startswith("eps")
                    else math.sqrt(ab_t) * z - math.sqrt(1 - ab_t) * o
                )
                z_0 = torch.maximum(torch.minimum(z_0, self.zmax), -self.zmax)
                a = ab_t / ab_s
                mean = (
                    math.sqrt(ab_s) * (1 - a) / (1 - ab_t) * z_0
                    + math.sqrt(a) * (1 - ab_s) / (1 - ab_t) * z
                )
                var = (1 - ab_s) * (1 - a) / (1 - ab_t)
                z = mean + math.sqrt(var) * torch.randn(z.shape, generator=rng) if var > 0 else z_0
            new = []
            for j, K in enumerate(self.Ks):
                l = pieces[j + 1]
                gain = math.log1p(ab_t * K / (1 - ab_t))
                l = l.scatter_add(1, x[:, j : j + 1], torch.full((n, 1), gain))
                c = l.softmax(1).cumsum(1)
                x_0 = (c < torch.rand((n, 1), generator=rng) * c[:, -1:]).sum(1)
                new.append(x_0.clamp(max=K - 1))
            if self.Ks:
                x = posterior_draw(x, torch.stack(new, 1), ab_t / ab_s, ab_s, self.Kt, rng)
        return z, x


def posterior_draw(x_t, x_0, a, ab_s, Ks, rng):
    same = (x_t == x_0).double()
    w_stay = a * (1 - ab_s) / Ks + 0 * same
    w_0 = a * ab_s * same + (1 - a) / Ks * ab_s
    w_any = (1 - a) * (1 - ab_s) / Ks
    u = torch.rand(x_t.shape, generator=rng, dtype=torch.float64) * (w_stay + w_0 + w_any)
    anyc = uniform_categories(x_t.shape, Ks, rng)
    return torch.where(u < w_0, x_0, torch.where(u < w_0 + w_stay, x_t, anyc))


class TabDDPM(Generator):
    name = "tabddpm"
    Config = TabDDPMConfig

    def __init__(self, config=None, **options):
        if options.get("preset") == "paper":
            options = {**PAPER, **options}
        super().__init__(config, **options)

    def _build(self, layout, scales):
        cfg = self.config
        self.scales_ = scales
        self.cats_ = [j for j, c in enumerate(layout.categoricals) if len(c.categories) > 1]
        self.coded_ = [j for j, s in enumerate(scales.scales) if s.n_codes > 1]
        self.gauss_ = [j for j, s in enumerate(scales.scales) if len(s.value)]
        Ks = [len(layout.categoricals[j].categories) for j in self.cats_] + [
            scales.scales[j].n_codes for j in self.coded_
        ]
        d = len(self.gauss_)
        net = (
            PaperNet(d, Ks, cfg)
            if cfg.d_embed == 0
            else Denoiser(d, Ks, cfg, len(self.cats_) if cfg.reveal else 0)
        )
        edge = torch.tensor(
            [
                min(0.25, 0.5 * scales.scales[j].n_cells / scales.scales[j].n_rows)
                for j in self.gauss_
            ]
        )
        self.edge_ = edge
        self.net_ = net
        self.A_ = torch.tensor([len(s.atoms) for s in scales.scales])
        self.C_ = torch.tensor([s.n_cells for s in scales.scales])
        self.diff_ = Diffusion(
            net, d, Ks, cfg, None, None, len(self.cats_), -torch.special.ndtri(edge)
        )

    def _fit(self, layout, numbers, codes, plan):
        began = time.monotonic()
        cfg = self.config
        from generators.transform import fit_scale

        cc = cfg.cells if cfg.cells else tuple(c.name for c in layout.numericals)
        scales = Numericals(
            tuple(
                fit_scale(x, n_cells=cfg.n_cells if c.name in cc else 1, atom_share=cfg.atom_share)
                for x, c in zip(numbers.T, layout.numericals)
            )
        )
        gen = torch.Generator().manual_seed(plan.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self._build(layout, scales)
        atom, lo, hi = scales.encode(numbers)
        if not cfg.dequantise:
            lo = hi = (lo + hi) / 2
        lo, hi = torch.tensor(lo, dtype=torch.float32), torch.tensor(hi, dtype=torch.float32)
        atom, codes = torch.tensor(atom), torch.tensor(codes)[:, self.cats_]
        g, c = self.gauss_, self.coded_
        with torch.no_grad():
            if cfg.d_embed:
                b = self.net_.out.bias
                b[:] = 0
                k = self.diff_.d
                a = np.array([0])
                cols = [codes[:, j] for j in range(codes.shape[1])]
                u = (lo + hi) / 2
                cell = torch.minimum((u * self.C_).long(), self.C_ - 1)
                code = torch.where(atom >= 0, atom, self.A_ + cell)
                cols += [code[:, j] for j in c]
                for col, K in zip(cols, self.diff_.Ks):
                    b[k : k + K] = torch.log((torch.bincount(col, minlength=K) + 0.5) / len(col))
                    k += K

        def batch(rows, rng):
            l, h, at = lo[rows], hi[rows], atom[rows]
            u = l + (h - l) * torch.rand(l.shape, generator=rng)
            s = u * self.C_
            cell = torch.minimum(s.long(), self.C_ - 1)
            share = (s - cell)[:, g]
            z = torch.special.ndtri(torch.minimum(torch.maximum(share, self.edge_), 1 - self.edge_))
            is_atom = at[:, g] >= 0
            z = torch.where(is_atom, torch.randn(z.shape, generator=rng), z)
            code = torch.where(at >= 0, at, self.A_ + cell)
            return z, (~is_atom).float(), torch.cat([codes[rows], code[:, c]], 1)

        def loss(rows, rng):
            return self.diff_.loss_terms(*batch(rows, rng), rng)

        opt = torch.optim.AdamW(
            self.net_.parameters(),
            lr=cfg.lr,
            weight_decay=cfg.weight_decay,
            betas=(0.9, 0.999),
            fused=True,
        )
        pace = Pace(cfg.batch_size, cfg.lr, cfg.n_steps, cfg.warmup, cfg.ema)
        key = {
            "model": self.name,
            "config": asdict(cfg),
            "columns": layout.to_json(),
            "data": training.fingerprint(numbers, codes.numpy()),
        }
        hist = training.run(
            Descent(self.net_, loss, [opt]),
            len(numbers),
            plan,
            pace,
            key=key,
            label=self.name,
            began=began,
        )
        self.n_steps_, self.losses_ = hist.n_steps, hist.losses

    def _sample(self, n, seed, given, steps=None):
        rng = torch.Generator().manual_seed(seed)
        zs, xs = [], []
        for i in range(0, n, 8192):
            z, x = self.diff_.sample(min(8192, n - i), rng, steps or self.config.steps)
            zs.append(z)
            xs.append(x)
        z, x = torch.cat(zs).double(), torch.cat(xs)
        N = len(self.scales_.scales)
        shares = torch.full((n, N), 0.5, dtype=torch.float64)
        shares[:, self.gauss_] = torch.special.ndtr(z)
        nc = torch.zeros((n, N), dtype=torch.long)
        nc[:, self.coded_] = x[:, len(self.cats_) :]
        codes = np.zeros((n, len(self.layout_.categoricals)), np.int64)
        codes[:, self.cats_] = x[:, : len(self.cats_)].numpy()
        return self.scales_.decode(nc.numpy(), shares.numpy()), codes

    def _to_arrays(self):
        return {
            **self.scales_.to_arrays(),
            **{f"net.{k}": v.numpy() for k, v in self.net_.state_dict().items()},
        }

    def _from_arrays(self, layout, arrays):
        self._build(layout, Numericals.from_arrays(arrays, len(layout.numericals)))
        self.net_.load_state_dict(
            {k[4:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("net.")}
        )
