"""The search for pipelines: ``python -m evaluation.engine.pipelines RUN_DIR``.

Reads ``run.json`` (generators, helpers, baseline, members, judge, prompts in two parts, trials,
budget, max_calls, seed), writes ``trials.jsonl``, a line a pipeline, as they come. First each model
alone, so that they can be ranked; then what Optuna proposes, for the win rate against the baseline
and for few questions a prompt. Those that none beats in both are scored again on prompts that the
search has not seen. Started again it goes on with what has no line.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from evaluation.engine.pipelines.space import (
    Told,
    alone,
    front,
    named,
    propose,
)
from evaluation.engine.pipelines.trying import Bench, Tried
from evaluation.engine.winrate import win_rate
from evaluation.engine.words import WORDS
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.pipelines.config import Config, read_config
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

RESCORED = 6
"""Pipelines of the front that are scored again, at most; those of the highest rates."""


class Search:
    def __init__(
        self, spec: dict[str, Any], bench: Bench, journal: Journal, rundir: RunDir
    ) -> None:
        self.spec, self.bench, self.journal, self.rundir = spec, bench, journal, rundir
        self.prompts = [one for one in spec["prompts"] if one["part"] == "search"]
        self.fresh = [one for one in spec["prompts"] if one["part"] == "fresh"]
        self.trials: list[dict[str, Any]] = list(journal.lines())

    @property
    def spent(self) -> float:
        """Questions of all trials, those too that were known from before."""
        return sum(one["calls"] * len(self.prompts) for one in self.trials)

    def go(self, stop: Stop) -> None:
        """
        Raises:
            Interrupted: it is to stop.
        """
        for model in self.spec["generators"]:
            config = read_config([[{"type": "generator", "model": model}]])
            self._try(config, None, "alone")
        ranked = self.ranked
        while len(self.trials) < self.spec["trials"]:
            if stop:
                raise Interrupted
            found = propose(
                ranked,
                self.spec["helpers"],
                self._told(ranked),
                seed=self.spec["seed"],
                trials=self.spec["trials"],
                welcome=self._welcome,
            )
            if found is None:
                self.rundir.event(Said(WORDS, "no_new_pipeline"))
                return
            self._try(found[1], found[0], "search")

    @property
    def ranked(self) -> list[str]:
        """The models that generate, the best alone first; of equal ones as they were given."""
        rates = {one["model"]: one["rate"] for one in self.trials if one["kind"] == "alone"}
        return sorted(self.spec["generators"], key=lambda model: -rates[model])

    def _told(self, ranked: list[str]) -> list[Told]:
        """What the sampler is told: the best model alone stands in its space too."""
        helper = self.spec["helpers"][0]
        best = next(one for one in self.trials if one.get("model") == ranked[0])
        first = Told(alone(ranked[0], helper), best["rate"], best["calls"])
        return [
            first,
            *(
                Told(one["params"], one["rate"], one["calls"])
                for one in self.trials
                if one["kind"] == "search"
            ),
        ]

    def _welcome(self, config: Config) -> bool:
        known = {one["config"] for one in self.trials}
        left = self.spec["budget"] - self.spent
        return (
            named(config) not in known
            and config.calls <= self.spec["max_calls"]
            and config.calls * len(self.prompts) <= left
        )

    def _try(self, config: Config, params: dict[str, Any] | None, kind: str) -> None:
        name = named(config)
        if any(one["config"] == name for one in self.trials):
            return
        number, total = len(self.trials), self.spec["trials"]
        self.rundir.progress(
            number, total, "pipelines", Said(WORDS, "pipeline", number=number + 1, of=total)
        )
        tried = self.bench.tried(config, self.prompts)
        line: dict[str, Any] = {
            "number": number,
            "kind": kind,
            "config": name,
            "layers": config.as_list(),
            "params": params,
            "rate": round(tried.rate, 6),
            "calls": round(tried.calls, 4),
            "unread": tried.unread,
        }
        if kind == "alone":
            line["model"] = config.models[0]
        self.journal.add(line)
        self.trials.append(line)
        best = max(one["rate"] for one in self.trials)
        self.rundir.metric(number + 1, win_rate=tried.rate, best_win_rate=best)

    def rescored(self, stop: Stop) -> list[dict[str, Any]]:
        """The front on prompts that the search has not seen.

        Raises:
            Interrupted: it is to stop.
        """
        points = [(one["rate"], one["calls"]) for one in self.trials]
        found = []
        for place in front(points)[:RESCORED]:
            if stop:
                raise Interrupted
            trial = self.trials[place]
            self.rundir.progress(
                len(self.trials),
                len(self.trials),
                "pipelines",
                Said(WORDS, "rescoring", number=trial["number"] + 1),
            )
            tried = self.bench.tried(read_config(trial["layers"]), self.fresh)
            found.append({"trial": trial["number"], **_figures(tried)})
        return found


def _figures(tried: Tried) -> dict[str, Any]:
    if not tried.worths:
        return {"rate": None, "lo": None, "hi": None, "prompts": 0, "calls": tried.calls}
    rate = win_rate(list(tried.worths.values()), list(tried.worths))
    ends = {
        name: None if end is None else round(end, 6)
        for name, end in (("lo", rate.lo), ("hi", rate.hi))
    }
    return {
        "rate": round(rate.rate, 6),
        **ends,
        "prompts": rate.prompts,
        "calls": round(tried.calls, 4),
    }


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    rundir.progress(0, spec["trials"], "pipelines", Said(WORDS, "getting_ready"))
    try:
        with ExitStack() as opened:
            bench = Bench(spec, rundir, stop, opened)
            journal = opened.enter_context(Journal(rundir.path / "trials.jsonl"))
            search = Search(spec, bench, journal, rundir)
            search.go(stop)
            rescored = search.rescored(stop)
    except Interrupted:
        return
    best = rescored[0]
    rundir.progress(len(search.trials), len(search.trials), "pipelines")
    told = search.trials[best["trial"]]
    fresh = (
        Said(WORDS, "unknown")
        if best["rate"] is None
        else Said(WORDS, "share", share=f"{100 * best['rate']:.1f}")
    )
    rundir.event(
        Said(
            WORDS,
            "best_pipeline",
            pipelines=len(search.trials),
            share=f"{100 * told['rate']:.1f}",
            fresh=fresh,
            prompts=best["prompts"],
        )
    )
    rundir.finish(
        status="succeeded",
        search={
            "trials": len(search.trials),
            "questions": round(search.spent),
            "asked": bench.members.used.calls,
            "rescored": rescored,
        },
    )


if __name__ == "__main__":
    engine.run(work)
