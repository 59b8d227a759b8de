"""One training iteration: some steps of the critic, then generator, then downstream network.

In: `Networks` and an encoded table. Out: `Adversaries`, the learner of `generators.training`.

Source: Zhao et al. (2022), arXiv 2204.00401, and its authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .conditions import Conditions
from .loss import condition_loss, gradient_penalty, information_loss
from .networks import Networks


class Adversaries:
    """The learner: some steps of the critic, one of the generator, one of the downstream net."""

    def __init__(self, net: Networks, alpha: Tensor, x: Tensor):
        self.module, self.alpha, self.x = net, alpha, x
        self.n_rows = len(x)
        self.conditions = Conditions.from_table(x, net.Ks)
        self.parts = [list(net.critic.parameters()), list(net.generator.parameters())]
        self.parts += [list(net.downstream.parameters())] if net.target is not None else []
        config = net.config
        self.optimizers = [
            torch.optim.Adam(
                part,
                lr=config.lr,
                betas=(0.5, 0.9),
                eps=config.eps,
                weight_decay=config.weight_decay,
                fused=True,
            )
            for part in self.parts
        ]

    def step(self, rows: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        """One iteration on as many rows as `rows`; which rows depends on the conditions."""
        n = len(rows)
        for _ in range(self.module.config.critic_steps):
            terms, real, c = self._critic_step(n, rng)
        terms |= self._generator_step(real, c, rng)
        if self.module.target is not None:
            loss = self.module.target.loss(self.module.predict(real, rng), real)
            self._step_optimizer(2, loss)
            terms["classifier"] = loss
        return {name: term.detach() for name, term in terms.items()}

    def _step_optimizer(self, which: int, loss: Tensor) -> None:
        """One optimizer step that computes the gradients of its own weights only."""
        for p, g in zip(
            self.parts[which], torch.autograd.grad(loss, self.parts[which]), strict=True
        ):
            p.grad = g
        self.optimizers[which].step()

    def _draw_conditions(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Conditions col, opt (n,) and c (n, sum of K); empty where nothing has categories."""
        if not self.module.Ks:
            none = torch.zeros(n, dtype=torch.long)
            return none, none, torch.empty((n, 0))
        col, opt = self.conditions.draw(n, rng, log=True)
        return col, opt, self.conditions.vector(col, opt)

    def _real_rows(self, col: Tensor, opt: Tensor, rng: torch.Generator) -> Tensor:
        if self.module.Ks:
            rows = self.conditions.rows(col, opt, rng)
        else:
            rows = (
                torch.rand(len(col), generator=rng, dtype=torch.float64) * len(self.alpha)
            ).long()
        return self.module.row(self.alpha[rows], self.x[rows])

    def _critic_step(self, n: int, rng: torch.Generator) -> tuple[dict, Tensor, Tensor]:
        net = self.module
        col, opt, c = self._draw_conditions(n, rng)
        with torch.no_grad():  # the critic's loss moves the critic alone
            fake, _ = net.generate(c, rng)
        shuffled = torch.randperm(n, generator=rng)
        real = self._real_rows(col[shuffled], opt[shuffled], rng)
        rows, cs = torch.cat([real, fake]), torch.cat([c[shuffled], c])
        good, bad = net.score(rows, cs)[0].split(n)
        whole = torch.cat([rows, cs], 1)
        penalty = gradient_penalty(
            lambda w: net.score(w[:, : net.width], w[:, net.width :])[0], *whole.split(n), rng
        )
        terms = {"critic": bad.mean() - good.mean(), "penalty": net.config.penalty * penalty}
        self._step_optimizer(0, terms["critic"] + terms["penalty"])
        return terms, real, c[shuffled]

    def _disobedience(self, logits: Tensor, col: Tensor, opt: Tensor) -> Tensor:
        return condition_loss(logits, self.module.Ks, col, opt)

    def _generator_step(self, real: Tensor, real_c: Tensor, rng: torch.Generator) -> dict:
        net = self.module
        col, opt, c = self._draw_conditions(len(real), rng)
        fake, logits = net.generate(c, rng)
        score, features = net.score(fake, c)
        with torch.no_grad():
            _, real_features = net.score(real, real_c)
        information = information_loss(real_features, features)
        terms = {"generator": -score.mean(), "information": information}
        if net.Ks:
            terms["condition"] = self._disobedience(logits, col, opt)
        if net.target is not None:
            # DIFF: code descends on the downstream loss in a second step on the same noise; we add
            # it to the others, as the paper's sum reads.
            terms["downstream"] = net.target.loss(net.predict(fake, rng), fake)
        self._step_optimizer(1, sum(terms.values()))
        return terms
