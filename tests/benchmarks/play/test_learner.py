"""Every algorithm learns four toy tasks whose answer is known, before the grid is trusted.

The tasks have the layout of the grid's flat observations, three sites, and one thing to learn each
(after the diagnostic environments of rejax and bsuite): the value of what is seen, which is 0 or
1, and of what is to come; which site pays; which site pays given what is seen. In a fifth a site
pays what is seen and costs 1, so that the limit sets from what pay on it is worth taking.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from stable_baselines3.common.vec_env import VecEnv

pytest.importorskip("sb3_contrib")

from benchmarks.play import learner
from benchmarks.play.checkpoints import CHECKPOINT
from benchmarks.play.recipes import ALGORITHMS, Recipe
from benchmarks.play.training_reward import TrainingReward
from pandaenv.env.observation import N_JOB, N_SITE, space

S, N = 3, 32
SMALL = Recipe(
    steps=4_000,
    n_envs=N,
    n_steps=16,
    batch_size=256,
    n_epochs=8,
    learning_rate=1e-2,
    gamma=0.9,
    squash=False,
    width=16,
)


class Toy(VecEnv):
    """N toy tasks of S sites. Job feature 0 is `sign`, site feature 0 marks one site.

    Args:
        asks: the reward, of sign (N,), whether the marked site was taken (N,), last step (N,).
        length: steps of an episode.
        signs: draws n signs from a random generator.
        costs: of whether the marked site was taken (N,).
    """

    def __init__(self, asks, length=1, signs=None, costs=None):
        super().__init__(N, space(S, True), Discrete(S))
        self.asks, self.length, self.signs, self.costs = asks, length, signs, costs
        self.rng, self.age = np.random.default_rng(0), np.zeros(N, int)

    def reset(self):
        if self._seeds[0] is not None:
            self.rng = np.random.default_rng(self._seeds[0])
        self._reset_seeds()
        self.age[:] = 0
        return self._draw()

    def _draw(self):
        seen = np.zeros((N, self.observation_space.shape[0]), np.float32)
        self.sign = self.signs(self.rng, N) if self.signs else np.zeros(N)
        self.mark = self.rng.integers(S, size=N)
        seen[:, 0], seen[:, 8] = self.sign, self.age > 0
        seen[:, N_JOB + 6 : N_JOB + N_SITE * S : N_SITE] = 1.0  # power
        seen[np.arange(N), N_JOB + N_SITE * self.mark] = 1.0
        return seen

    def step_async(self, actions):
        self.is_marked = actions == self.mark

    def step_wait(self):
        self.age += 1
        dones = self.age == self.length
        reward = self.asks(self.sign, self.is_marked, dones).astype(np.float32)
        costs = self.costs(self.is_marked) if self.costs else np.zeros(N)
        infos = [{"cost": float(c), "TimeLimit.truncated": False} for c in costs]
        self.age[dones] = 0
        seen = self._draw()
        for i in np.flatnonzero(dones):
            infos[i]["terminal_observation"] = seen[i]
        return seen, reward, dones, infos

    def close(self):
        pass

    def env_method(self, method_name, *args, indices=None, **kwargs):
        return [np.ones(S, np.int8)] * N

    def has_attr(self, attr_name):
        return attr_name == "action_masks"

    def get_attr(self, attr_name, indices=None):
        return [None] * N

    def set_attr(self, attr_name, value, indices=None):
        raise AttributeError(attr_name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * N


def coins(rng, n):
    return rng.integers(2, size=n).astype(float)


def taught(algorithm, toy, **changes):
    """(values, shares of the marked site, observations, toy) after training."""
    limit = {"cost_limit": 1.0} if algorithm == "lagrangian" else {}
    recipe = replace(SMALL, algorithm=algorithm, **(limit | changes))
    agent, curve = learner.train(recipe, toy, seed=0, chapter=32)
    toy.seed(1)
    seen = toy.reset()
    with torch.no_grad():
        values = agent.network.predict_values(torch.as_tensor(seen)).numpy().ravel()
    logits = agent.logits(seen)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return values, share[np.arange(N), toy.mark], curve


FAST = ("ppo", "scoring")  # the other two add a mask and a price to them


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in ALGORITHMS
    ]
)
def algorithm(request):
    return request.param


def test_the_value_is_what_is_seen(algorithm):
    toy = Toy(lambda sign, marked, last: sign, signs=coins)
    values, _, _ = taught(algorithm, toy)
    assert len(set(toy.sign)) == 2
    assert values == pytest.approx(toy.sign, abs=0.15)


def test_what_is_to_come_is_discounted(algorithm):
    toy = Toy(lambda sign, marked, last: last, length=2)
    values, _, _ = taught(algorithm, toy)
    assert values == pytest.approx(np.full(N, SMALL.gamma), abs=0.1)


def test_the_site_that_pays_is_found(algorithm):
    toy = Toy(lambda sign, marked, last: np.where(marked, 1.0, -1.0))
    values, share, _ = taught(algorithm, toy)
    assert share.min() > 0.9 and values == pytest.approx(np.ones(N), abs=0.3)


def test_the_site_that_pays_given_what_is_seen_is_found(algorithm):
    toy = Toy(lambda sign, marked, last: np.where(marked == (sign > 0), 1.0, -1.0), signs=coins)
    _, share, _ = taught(algorithm, toy, steps=6_000)
    assert (share[toy.sign > 0] > 0.8).all() and (share[toy.sign == 0] < 0.2).all()


@pytest.mark.parametrize("limit", [pytest.param(0.3, marks=pytest.mark.slow), 0.6])
def test_the_limit_sets_how_often_a_costly_site_is_taken(limit):
    """The marked site pays u, uniform in [0, 1]: taken where u > 1 - limit, at that price."""
    toy = Toy(
        lambda sign, marked, last: np.where(marked, sign, 0.0),
        signs=lambda rng, n: rng.random(n),
        costs=lambda marked: marked.astype(float),
    )
    quick = {"batch_size": 128, "n_epochs": 4, "multiplier_rate": 0.04}
    _, _, curve = taught("lagrangian", toy, cost_limit=limit, steps=20_480, gamma=0.0, **quick)
    late = curve[-10:]
    assert np.mean([point["cost"] for point in late]) == pytest.approx(limit, abs=0.1)
    assert np.mean([point["multiplier"] for point in late]) == pytest.approx(1 - limit, abs=0.2)


# --- whole trainings ------------------------------------------------------------------------------


class Killed(Exception):
    pass


def kill(point):
    raise Killed


def coin_toy():
    return Toy(
        lambda sign, marked, last: np.where(marked == (sign > 0), 1.0, -1.0),
        signs=coins,
        costs=lambda marked: marked.astype(float),
    )


@pytest.mark.parametrize("algorithm", ["ppo", "lagrangian"])
def test_a_killed_training_goes_on_bit_for_bit(algorithm, tmp_path):
    limit = {"cost_limit": 0.3} if algorithm == "lagrangian" else {}
    recipe = replace(SMALL, algorithm=algorithm, steps=2_048, **limit)
    whole, curve = learner.train(recipe, coin_toy(), 5, 16)
    with pytest.raises(Killed):
        learner.train(recipe, coin_toy(), 5, 16, tmp_path, kill)
    assert (tmp_path / CHECKPOINT).exists()
    torch.rand(3)
    again, resumed = learner.train(recipe, coin_toy(), 5, 16, tmp_path)
    same = zip(weights(whole).items(), weights(again).items(), strict=True)
    assert all(a == b and x.equal(y) for (a, x), (b, y) in same)
    assert [p["flow"] for p in resumed] == [p["flow"] for p in curve] and len(curve) == 4
    assert [p["multiplier"] for p in resumed] == [p["multiplier"] for p in curve]
    csv = (tmp_path / "curve.csv").read_text().splitlines()
    assert len(csv) == 5 and csv[0].startswith("step,flow,cost,multiplier")


def weights(agent):
    return agent.network.state_dict()


def test_a_finished_training_is_not_done_again(tmp_path):
    recipe = replace(SMALL, algorithm="scoring", steps=512)
    first, _ = learner.train(recipe, coin_toy(), 0, 16, tmp_path)
    again, curve = learner.train(recipe, coin_toy(), 0, 16, tmp_path, kill)
    assert weights(first)["mlp_extractor.score.weight"].equal(
        weights(again)["mlp_extractor.score.weight"]
    )
    assert len(curve) == 1


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    recipe = replace(SMALL, steps=512)
    learner.train(recipe, coin_toy(), 0, 16, tmp_path)
    for other, seed in ((replace(recipe, gamma=0.5), 0), (recipe, 1)):
        with pytest.raises(ValueError, match="another recipe or seed: remove it first"):
            learner.train(other, coin_toy(), seed, 16, tmp_path)


def test_the_curve_counts_reward_and_cost_as_they_were():
    toy = Toy(lambda sign, marked, last: np.full(N, -3.0), costs=lambda marked: np.full(N, 0.25))
    recipe = replace(SMALL, algorithm="lagrangian", cost_limit=0.1, steps=1_024, squash=True)
    _, curve = learner.train(recipe, toy, 0, 16)
    assert [point["flow"] for point in curve] == [3.0, 3.0]
    assert [point["cost"] for point in curve] == [0.25, 0.25]
    assert [point["multiplier"] for point in curve] == pytest.approx([0.33, 0.36])


def test_what_is_paid_is_squashed_and_priced():
    toy = Toy(lambda sign, marked, last: np.full(N, -3.0), costs=lambda marked: np.full(N, 2.0))
    paid = TrainingReward(toy, replace(SMALL, squash=True))
    paid.multiplier = 0.5
    paid.reset()
    rewards = paid.step(np.zeros(N, int))[1]
    assert rewards == pytest.approx(np.full(N, -np.log(4) - 1.0))


@pytest.mark.parametrize(
    "wrong", [{"algorithm": "dqn"}, {"algorithm": "lagrangian"}, {"cost_limit": 0.1}]
)
def test_wrong_recipes_are_refused(wrong):
    with pytest.raises(ValueError, match="unknown algorithm 'dqn'; known: ppo|takes a cost_limit"):
        Recipe(**wrong)
