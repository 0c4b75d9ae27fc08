"""How many labels active pairs with always-valid stopping save, on real votes.

::

    python tests/benchmarks/bench_active.py [RUNS]

The crowd comparisons by Dmitry Ustalov and llmonitor.com (CC BY 4.0) are looked for beside the
checkout, in ``../shared/data/llmfao``: 8,931 votes on 59 models, four in ten of them ties.

*Replay.* A label for two models is one of the real votes on them that is not yet used, so that
every policy, in the end, knows the same. Votes on one pair of answers are one cluster. Fixed: any
vote that is left, and one look (max-t) at a number of labels fixed beforehand, the smallest that
would have been enough in four runs of five. Live: a look after each few labels, with the interval
that holds at all times. Rank correlation is Kendall's with the ranking by all votes.

*Continuation.* The pool holds five votes for two models, too few to settle eight of them. So votes
are drawn from Davidson's model as fitted to all the real ones, eight random models a run. The
question is which is best, or which are within 100 Elo of the best. Fixed: the smallest
plan of random pairs that answers in four runs of five, which nobody knows beforehand. Live:
models that are ruled out are shown no longer; voting ends when one is left, or those left are that
close.

*Decision.* What an evaluation asks: is each candidate better or worse than the baseline, or is
there no difference of more than 5 points? Votes are drawn as for the continuation, the models at
random. Fixed: the number of random pairs that a power calculation gives for 80 % power at a win
rate of 55 %, at the real share of ties, and one look. Live: what the platform does, pairs that tell
most among those that are not decided, a look after every four labels; and the same with all pairs
drawn by chance. Beside it the fixed sample that would have been right as often, which nobody knows
beforehand.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np

from evaluation.engine import davidson
from evaluation.engine.active import RANDOM, next_pairs, posterior, settled
from evaluation.engine.bradley_terry import Fit, count, fit, maximum, score_table
from evaluation.engine.connectivity import groups
from evaluation.engine.ranks import above
from evaluation.engine.ratings import ELO
from evaluation.engine.sequential import half_width
from evaluation.engine.stopping import KEEP_VOTING, Standing, by_ratings, differences, direct

# ruff: noqa: T201

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "llmfao"
LOOK = 4
"""Batches between two looks at the board."""
SHARES, CORRELATIONS = (0.05, 0.1), (0.7, 0.8, 0.9)
FEW, CLOSE, LONGEST = 8, 100.0 / ELO, 3500
DELTA, ALPHA, POWER = 0.05, 0.05, 0.8
AT_ONCE, END = 4, 20_000


class Pool:
    """Real votes, i < j."""

    def __init__(self) -> None:
        with (FOLDER / "crowd-comparisons.csv").open() as file:
            rows = list(csv.DictReader(file))
        names = sorted({row["left"] for row in rows} | {row["right"] for row in rows})
        number = {name: at for at, name in enumerate(names)}
        worth = {"left": 1.0, "right": 0.0, "tie": 0.5}
        self.models = len(names)
        left, right = (np.array([number[row[side]] for row in rows]) for side in ("left", "right"))
        score = np.array([worth[row["winner"]] for row in rows])
        self.i, self.j = np.minimum(left, right), np.maximum(left, right)
        self.y = np.where(left > right, 1.0 - score, score)
        self.cluster = np.array([int(row["id"]) for row in rows])
        table = score_table(count(self.cluster, self.i, self.j, self.y, self.models), self.models)
        self.truth = posterior(table)[0]
        self.nu = davidson.fit(self.cluster, self.i, self.j, self.y, self.models).nu


class Replay:
    """One run of one policy: what is known after so many labels."""

    def __init__(self, pool: Pool, seed: int, chosen: bool) -> None:
        self.pool, self.rng = pool, np.random.default_rng(seed)
        self.labels: list[int] = []
        self.tau: list[float] = []
        self.live: list[float] = []
        self.once: list[float] = []
        self.wrong: list[int] = []
        models, key = pool.models, pool.i * pool.models + pool.j
        left: list[list[int]] = [[] for _ in range(models**2)]
        for vote in self.rng.permutation(key.size).tolist():
            left[key[vote]].append(vote)
        order = self.rng.permutation(key.size)
        used = np.zeros(0, dtype=int)
        scored, batch = np.zeros((models, models)), models - 1
        for step in range(key.size // batch):
            if chosen:
                allowed = np.array([bool(some) for some in left]).reshape(models, models)
                pairs = next_pairs(
                    *posterior(scored), batch, self.rng, allowed=allowed | allowed.T, nu=pool.nu
                )
                found = [left[a * models + b] for a, b in zip(pairs.i, pairs.j, strict=True)]
                votes = np.array([some.pop() for some in found if some])
            else:
                votes = order[step * batch : (step + 1) * batch]
            np.add.at(scored, (pool.i[votes], pool.j[votes]), pool.y[votes])
            np.add.at(scored, (pool.j[votes], pool.i[votes]), 1.0 - pool.y[votes])
            used = np.concatenate([used, votes])
            if step % LOOK == LOOK - 1:
                self.look(used, scored, once=not chosen)

    def look(self, used: np.ndarray, scored: np.ndarray, once: bool) -> None:
        pool, models = self.pool, self.pool.models
        pairs = models * (models - 1) / 2
        apart = pool.truth[:, None] - pool.truth
        mean = posterior(scored)[0]
        self.labels.append(used.size)
        self.tau.append(float((np.sign(apart) * np.sign(mean[:, None] - mean)).sum() / pairs / 2))
        # those who have won or lost all so far are left out of the claims
        live, single, wrong = 0, 0, 0
        together = groups(scored)
        if together:
            kept = together[0]
            cells = count(*(c[used] for c in (pool.cluster, pool.i, pool.j, pool.y)), models)
            fitted = fit(cells.among(kept), kept.size)
            effective = fitted.effective_of_differences()
            claims = settled(fitted.theta, fitted.variance_of_differences(), effective)
            live = int(claims.sum())
            wrong = int((claims & (apart[np.ix_(kept, kept)] < 0)).sum())
            single = int(above(fitted).sum()) if once else 0
        self.live.append(live / pairs)
        self.once.append(single / pairs)
        self.wrong.append(wrong)

    def first(self, values: list[float], least: float) -> float:
        hit = [n for n, value in zip(self.labels, values, strict=True) if value >= least]
        return float(hit[0]) if hit else float("inf")


class Search:
    """Eight models, votes from the fitted model, until the best is known or the plan is used up."""

    def __init__(self, theta: np.ndarray, nu: float, seed: int, plan: int | None) -> None:
        rng = np.random.default_rng(seed)
        win, tie, _ = davidson.probabilities(theta[:, None] - theta, nu)
        self.truth = maximum((win + tie / 2.0) * (1.0 - np.eye(FEW)))[0]
        every = np.argwhere(np.triu(np.ones((FEW, FEW)), 1))
        self.scored = np.zeros((FEW, FEW))
        self.out = np.zeros(FEW, dtype=bool)
        self.log = np.zeros((3, 0))
        self.curve: list[float] = []
        self.answers: list[bool] = []
        number = FEW - 1
        while plan is None or self.labels < plan:
            if plan is None:
                allowed = np.outer(~self.out, ~self.out)
                chosen = next_pairs(*posterior(self.scored), number, rng, allowed=allowed, nu=nu)
                i, j = chosen.i, chosen.j
            else:
                i, j = every[rng.integers(0, len(every), number)].T
            luck = rng.random(number)
            y = np.where(luck < win[i, j], 1.0, np.where(luck < win[i, j] + tie[i, j], 0.5, 0.0))
            np.add.at(self.scored, (i, j), y)
            np.add.at(self.scored, (j, i), 1.0 - y)
            self.log = np.concatenate([self.log, np.stack([i, j, y])], axis=1)
            if plan is None:
                done = self.finished()
                self.curve.append(self.found())
                if done:
                    return
            elif len(self.log[0]) % (10 * number) == 0:
                # what a plan of this size would have found in its one look
                self.out = above(self.rated()).any(axis=0) if self.whole() else self.out
                self.curve += [self.found()] * 10
                self.answers.append(self.answered())

    @property
    def labels(self) -> int:
        return int(self.log.shape[1])

    def rated(self) -> Fit:
        i, j = self.log[:2].astype(int)
        return fit(count(np.arange(i.size), i, j, self.log[2], FEW), FEW)

    def whole(self) -> bool:
        together = groups(self.scored)
        return bool(together) and together[0].size == FEW

    def finished(self) -> bool:
        if not self.whole():
            return False
        fitted = self.rated()
        variance, number = fitted.variance_of_differences(), fitted.effective_of_differences()
        self.out |= settled(fitted.theta, variance, number, claims=FEW - 1).any(axis=0)
        return self.settles(half_width(number, np.sqrt(variance * number), 0.05 / (FEW - 1)))

    def settles(self, limit: np.ndarray) -> bool:
        """Whether one model is left, or those left are proved to be within 100 Elo."""
        theta = self.rated().theta
        same = np.abs(theta[:, None] - theta) + limit < CLOSE
        left = np.flatnonzero(~self.out)
        return bool((same | np.eye(FEW, dtype=bool))[np.ix_(left, left)].all())

    def answered(self) -> bool:
        """The same at one look, as a fixed plan has it."""
        z = NormalDist().inv_cdf(1.0 - 0.025 / (FEW - 1))
        return self.whole() and self.settles(z * np.sqrt(self.rated().variance_of_differences()))

    def found(self) -> float:
        """Share of the models at least 100 Elo below the best that were ruled out."""
        far = self.truth < self.truth.max() - CLOSE
        return float(self.out[far].mean()) if far.any() else 1.0

    def wrong(self) -> bool:
        """Whether the best was."""
        return bool(self.out[self.truth.argmax()])


class Decision:
    """Candidates 1, 2, … against the baseline 0, votes from the fitted model."""

    def __init__(self, theta: np.ndarray, nu: float, seed: int) -> None:
        self.models = theta.size
        self.rng = np.random.default_rng(seed)
        self.win, self.tie, _ = davidson.probabilities(theta[:, None] - theta, nu)
        self.truth = (self.win + self.tie / 2.0)[1:, 0] - 0.5
        self.nu = nu
        self.i, self.j = np.zeros((2, 0), dtype=int)
        self.y = np.zeros(0)

    def vote(self, i: np.ndarray, j: np.ndarray) -> None:
        """The first model's score; the baseline is never the first."""
        i, j = np.maximum(i, j), np.minimum(i, j)
        i, j = np.where(j == 0, i, j), np.where(j == 0, 0, i)
        luck = self.rng.random(i.size)
        win, tie = self.win[i, j], self.tie[i, j]
        y = np.where(luck < win, 1.0, np.where(luck < win + tie, 0.5, 0.0))
        self.i, self.j, self.y = (
            np.concatenate(both) for both in ((self.i, i), (self.j, j), (self.y, y))
        )

    def live(self, by_chance: float) -> tuple[int, list[str]]:
        """Labels, and what was decided of each candidate; a share of the pairs by chance."""
        said = [KEEP_VOTING] * (self.models - 1)
        known: list[float | None] = [None] * len(said)
        scored = np.zeros((self.models, self.models))
        while KEEP_VOTING in said and self.y.size < END:
            free = np.array([True, *(one == KEEP_VOTING for one in said)])
            pairs = next_pairs(
                *posterior(scored),
                AT_ONCE,
                self.rng,
                allowed=np.outer(free, free),
                random=by_chance,
                nu=self.nu,
            )
            self.vote(pairs.i, pairs.j)
            i, j, y = self.i[-AT_ONCE:], self.j[-AT_ONCE:], self.y[-AT_ONCE:]
            np.add.at(scored, (i, j), y)
            np.add.at(scored, (j, i), 1.0 - y)
            for at, one in enumerate(self.standings(known)):
                if said[at] == KEEP_VOTING:
                    said[at] = one.decision
        return self.y.size, said

    def standings(self, known: list[float | None]) -> list[Standing]:
        if self.models == 2:
            return direct([self.y], delta=DELTA, alpha=ALPHA, known=known)
        prompt = np.arange(self.y.size)
        return by_ratings(
            prompt, self.i, self.j, self.y, self.models, delta=DELTA, alpha=ALPHA, points=0
        )

    def fixed(self, labels: int) -> list[str]:
        """What one look after so many random pairs would say."""
        every = np.argwhere(np.triu(np.ones((self.models, self.models)), 1))
        more = every[self.rng.integers(0, len(every), labels - self.y.size)]
        self.vote(more[:, 0], more[:, 1])
        claims = self.models - 1
        apart, half, number = differences(
            np.arange(self.y.size), self.i, self.j, self.y, self.models, ALPHA / claims
        )
        # the same spread, held against a normal quantile
        z = NormalDist().inv_cdf(1.0 - ALPHA / 2.0 / claims)
        wide = half / half_width(np.maximum(number, 1.0), 1.0, ALPHA / claims)
        wide = wide * z / np.sqrt(np.maximum(number, 1.0))
        same = np.log((0.5 + DELTA) / (0.5 - DELTA))
        found = []
        for far, reach in zip(apart[1:].tolist(), wide[1:].tolist(), strict=True):
            if abs(far) > reach:
                found.append("better" if far > 0 else "worse")
            else:
                found.append("no difference" if abs(far) + reach < same else KEEP_VOTING)
        return found

    def right(self, said: list[str]) -> float:
        """Share of the candidates of which the truth was said."""
        return float(np.mean([self.fits(one, t) for one, t in zip(said, self.truth, strict=True)]))

    def wrong(self, said: list[str]) -> float:
        """Share of which something false was."""
        false = [
            one != KEEP_VOTING and not self.fits(one, t)
            for one, t in zip(said, self.truth, strict=True)
        ]
        return float(np.mean(false))

    @staticmethod
    def fits(said: str, truth: float) -> bool:
        signs = {
            "better": truth > 0,
            "worse": truth < 0,
            "no difference": abs(truth) < DELTA - 1e-9,
        }
        return bool(signs.get(said, False))


def planned(models: int, tie: float) -> int:
    """Random pairs for 80 % power at a win rate of 55 %: the difference of two ratings in a
    complete graph has the variance (models − 1)/(information a pair · pairs)."""
    normal = NormalDist().inv_cdf
    z = normal(1.0 - ALPHA / 2.0 / (models - 1)) + normal(POWER)
    information = 0.25**2 / ((1.0 - tie) / 4.0)
    far = np.log((0.5 + DELTA) / (0.5 - DELTA))
    return int(np.ceil((models - 1) * z**2 / (information * far**2)))


def decision(pool: Pool, models: int, runs: int, theta: np.ndarray | None = None) -> None:
    fitted = davidson.fit(pool.cluster, pool.i, pool.j, pool.y, pool.models)
    tie = float((pool.y == 0.5).mean())
    rng = np.random.default_rng(1)
    chosen = [
        fitted.theta[rng.permutation(pool.models)[:models]] if theta is None else theta
        for _ in range(runs)
    ]
    live = [Decision(one, fitted.nu, seed) for seed, one in enumerate(chosen)]
    ends = [one.live(RANDOM) for one in live]
    labels = np.array([n for n, _ in ends])
    live_right = np.mean([d.right(said) for d, (_, said) in zip(live, ends, strict=True)])
    live_wrong = np.mean([d.wrong(said) for d, (_, said) in zip(live, ends, strict=True)])
    plan = planned(models, tie)
    fixed = [Decision(one, fitted.nu, seed) for seed, one in enumerate(chosen)]
    steps = sorted({*np.round(np.geomspace(20, 4 * plan, 24)).astype(int).tolist(), plan})
    said = [[d.fixed(n) for n in steps] for d in fixed]
    right = [
        np.mean([d.right(own[at]) for d, own in zip(fixed, said, strict=True)])
        for at in range(len(steps))
    ]
    at = steps.index(plan)
    wrong = np.mean([d.wrong(own[at]) for d, own in zip(fixed, said, strict=True)])
    as_often = next((n for n, r in zip(steps, right, strict=True) if r >= live_right), None)
    what = "any two real models" if models == 2 else f"a baseline and {models - 1} real models"
    if theta is not None:
        what = f"two models at {50 + 100 * (live[0].truth[0]):.0f} %"
    print(f"decision: {what}, {runs} runs")
    print(
        f"  planned for 80 % power: {plan:,} random labels, {right[at]:.0%} of candidates decided "
        f"right, {wrong:.1%} wrong"
    )
    print(
        f"  live active: mean {labels.mean():,.0f}, median {np.median(labels):,.0f}, four in five "
        f"by {np.quantile(labels, 0.8):,.0f}; {live_right:.0%} right, {live_wrong:.1%} wrong"
    )
    if models > 2:
        other = [Decision(one, fitted.nu, seed).live(1.0)[0] for seed, one in enumerate(chosen)]
        print(f"  live random: mean {np.mean(other):,.0f}, median {np.median(other):,.0f}")
    print(f"  saved against the plan: {1 - labels.mean() / plan:.0%} on average", end="")
    print(f", {(labels > plan).mean():.0%} of runs need more than the plan")
    if as_often:
        print(
            f"  the fixed sample that would have been right as often: {as_often:,}; against that "
            f"{1 - labels.mean() / as_often:.0%} saved"
        )
    else:
        print(f"  no fixed sample up to {4 * plan:,} is right as often")


def line(name: str, fixed: float, live: float, active: float) -> None:
    print(f"{name:<38} {fixed:>9,.0f} {live:>12,.0f} {active:>12,.0f} {1 - active / fixed:>9.0%}")


def replay(pool: Pool, runs: int) -> None:
    active, random = (
        [Replay(pool, seed, chosen) for seed in range(runs)] for chosen in (True, False)
    )
    head = ("replay: labels needed", "fixed", "live random", "live active")
    print("{:<38} {:>9} {:>12} {:>12}     saved".format(*head))
    for least in CORRELATIONS:
        a, r = (float(np.median([p.first(p.tau, least) for p in o])) for o in (active, random))
        line(f"rank correlation {least}", r, r, a)
    for share in SHARES:
        plans = [p.first(p.once, share) for p in random]
        a, r = (float(np.median([p.first(p.live, share) for p in o])) for o in (active, random))
        fixed = float(np.quantile(plans, 0.8, method="higher"))
        line(f"{share:.0%} of all pairs told apart", fixed, r, a)
    wrong = max(max(p.wrong) for p in active + random)
    print(f"claims that all votes together contradict: at most {wrong} in a run\n")


def continuation(pool: Pool, runs: int) -> None:
    fitted = davidson.fit(pool.cluster, pool.i, pool.j, pool.y, pool.models)
    tie = float((pool.y == 0.5).mean())
    rng = np.random.default_rng(0)
    chosen = [fitted.theta[rng.permutation(pool.models)[:FEW]] for _ in range(runs)]
    live = [Search(theta, fitted.nu, seed, None) for seed, theta in enumerate(chosen)]
    fixed = [Search(theta, fitted.nu, seed, LONGEST) for seed, theta in enumerate(chosen)]
    labels = np.array([one.labels for one in live])
    answers = np.mean([one.answers for one in fixed], axis=0)
    enough = np.flatnonzero(answers >= 0.8)
    wrong = [np.mean([one.wrong() for one in some]) for some in (fixed, live)]
    print(f"continuation: {FEW} models at {tie:.0%} ties, {runs} runs")
    print(f"labels of live active: median {np.median(labels):,.0f}, mean {np.mean(labels):,.0f}")
    print(f"the best ruled out: fixed {wrong[0]:.0%}, live {wrong[1]:.0%} of runs")
    usual = float(np.quantile(labels, 0.8, method="higher"))
    if enough.size:
        plan = (int(enough[0]) + 1) * 10 * (FEW - 1)
        print(
            f"an answer in four runs of five: fixed random {plan:,}, live active {usual:,.0f}, "
            f"{1 - usual / plan:.0%} saved; {1 - np.mean(labels) / plan:.0%} on average"
        )
    else:
        print(f"an answer in four runs of five: fixed random over {LONGEST:,}, live {usual:,.0f}")
    longest = max(labels) // (FEW - 1)
    ends = [np.array(one.curve + [one.curve[-1]] * longest)[:longest] for one in live]
    active = np.mean(ends, axis=0)
    random = np.mean([one.curve for one in fixed], axis=0)
    for share in (0.8, 0.9):
        a, r = ((int((c >= share).argmax()) + 1) * (FEW - 1) for c in (active, random))
        print(
            f"{share:.0%} of models 100 Elo below ruled out: fixed random {r:,}, live active {a:,} "
            f"labels, {1 - a / r:.0%} saved"
        )


def at_rate(rate: float, nu: float) -> float:
    """The log-odds at which a win and half the ties come to this rate."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        win, tie, _loss = davidson.probabilities(np.array(middle), nu)
        low, high = (middle, high) if win + tie / 2.0 < rate else (low, middle)
    return low


def main(runs: int) -> None:
    start = time.perf_counter()
    pool = Pool()
    print(f"{pool.i.size:,} real votes on {pool.models} models\n")
    replay(pool, runs)
    continuation(pool, 4 * runs)
    print()
    decision(pool, 2, 20 * runs)
    decision(pool, 4, 6 * runs)
    decision(pool, 8, 2 * runs)
    # the hardest for it: just the difference that the plan is made for
    fitted = davidson.fit(pool.cluster, pool.i, pool.j, pool.y, pool.models)
    decision(pool, 2, 12 * runs, theta=np.array([0.0, at_rate(0.5 + DELTA, fitted.nu)]))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    if not FOLDER.is_dir():
        print("the crowd comparisons are not beside this checkout (../shared/data/llmfao)")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
