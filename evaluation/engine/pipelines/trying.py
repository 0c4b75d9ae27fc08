"""How good a pipeline is on some prompts: its answers beside the baseline's, put to a judge. What
has been answered or judged before a kill is in the run's folder, and nobody is asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.engine.askers import FarJudge, is_far, judge_sampling
from evaluation.engine.generate import seed_of
from evaluation.engine.pipelines.space import named
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.judging.judge import WORTH, shorten
from steelyard.inference.loading import load_writer, sampling_of
from steelyard.inference.pipelines.calling import Members, Shared
from steelyard.inference.pipelines.config import Config
from steelyard.inference.pipelines.flow import run
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir

AT_ONCE = 8
"""Prompts that go through the layers together."""
_SAFE = 2**53 - 1
Prompt = Mapping[str, Any]


@dataclass(frozen=True)
class Tried:
    """What came of a pipeline on some prompts."""

    worths: dict[str, float]
    """By prompt: 1 where it was found better than the baseline, 0 worse, one half between."""
    calls: float
    """Questions a prompt."""
    unread: int
    """Verdicts that could not be read."""

    @property
    def rate(self) -> float:
        """0 where no verdict could be read."""
        return sum(self.worths.values()) / len(self.worths) if self.worths else 0.0


class Bench:
    """Answers and verdicts of one search."""

    def __init__(self, spec: dict[str, Any], rundir: RunDir, stop: Stop, opened: ExitStack) -> None:
        self.spec, self.stop = spec, stop
        shared = Shared(
            calls=Path(spec["answers"]) if spec.get("answers") else None,
            own=rundir.path / "own.sqlite",
            pace=Path(spec["pace"]) if spec.get("pace") else None,
            owner=f"search {spec.get('run', '')}",
            run=spec.get("run", ""),
        )
        members = Members(spec["members"], shared, stop=lambda: bool(stop))
        self.members = opened.enter_context(closing(members))
        self.sampling = sampling_of({}, spec["sampling"])
        self.answers = opened.enter_context(Journal(rundir.path / "answers.jsonl"))
        self.verdicts = opened.enter_context(Journal(rundir.path / "verdicts.jsonl"))
        self._answered = {(one["config"], one["prompt"]): one for one in self.answers.lines()}
        self._judged = {one["pair"]: one["outcome"] for one in self.verdicts.lines()}
        self._judge = Judge(spec, rundir, stop, opened)

    def tried(self, config: Config, prompts: Sequence[Prompt]) -> Tried:
        """
        Raises:
            UserError: a member or the judge cannot be asked.
            Interrupted: it is to stop.
        """
        mine = self.answered(config, prompts)
        theirs = self.answered(self.baseline, prompts)
        pairs = {}
        for prompt in prompts:
            a, b = mine[prompt["key"]]["text"], theirs[prompt["key"]]["text"]
            number = stable_int(prompt["key"], a, b) & _SAFE
            pairs[prompt["key"]] = {
                "pair": number,
                "messages": prompt["messages"],
                "a": a,
                "b": b,
            }
        self._settle(pairs)
        said = {key: self._judged[pair["pair"]] for key, pair in pairs.items()}
        return Tried(
            {key: WORTH[outcome] for key, outcome in said.items() if outcome},
            sum(mine[prompt["key"]]["calls"] for prompt in prompts) / len(prompts),
            sum(outcome is None for outcome in said.values()),
        )

    @property
    def baseline(self) -> Config:
        from steelyard.inference.pipelines.config import read_config

        return read_config(self.spec["baseline"]["layers"])

    def answered(self, config: Config, prompts: Sequence[Prompt]) -> dict[str, dict[str, Any]]:
        """By prompt, the answer and how many questions it took."""
        name = named(config)
        left = [prompt for prompt in prompts if (name, prompt["key"]) not in self._answered]
        for start in range(0, len(left), AT_ONCE):
            if self.stop:
                raise Interrupted
            some = left[start : start + AT_ONCE]
            seeds = [seed_of(self.spec["seed"], prompt["key"]) for prompt in some]
            asked = [prompt["messages"] for prompt in some]
            for prompt, made in zip(some, self._run(config, asked, seeds), strict=True):
                line = {"config": name, "prompt": prompt["key"], "text": made.text}
                line["calls"] = made.calls
                self.answers.add(line)
                self._answered[name, prompt["key"]] = line
        return {prompt["key"]: self._answered[name, prompt["key"]] for prompt in prompts}

    def _run(self, config: Config, asked: Sequence[Any], seeds: Sequence[int]) -> Sequence[Any]:
        try:
            return run(config, self.members, asked, seeds, self.sampling)
        except UserError as error:
            if self.stop:
                raise Interrupted from error
            raise

    def _settle(self, pairs: Mapping[str, Mapping[str, Any]]) -> None:
        left = {}
        for pair in pairs.values():
            if pair["pair"] in self._judged:
                continue
            if pair["a"] == pair["b"]:
                self._keep(pair["pair"], "tie")
            else:
                left[pair["pair"]] = pair
        for line in self._judge.verdicts(list(left.values())):
            self._keep(line["pair"], line["outcome"], shorten(line.get("rationale", ""), 400))

    def _keep(self, pair: int, outcome: str | None, why: str = "") -> None:
        self.verdicts.add({"pair": pair, "outcome": outcome, "rationale": why})
        self._judged[pair] = outcome


class Judge:
    """Who says which of two answers is better; a model in this process is loaded when it is first
    asked."""

    def __init__(self, spec: dict[str, Any], rundir: RunDir, stop: Stop, opened: ExitStack) -> None:
        self.judge, self.stop = spec["judge"], stop
        self._writer: Any = None
        self._far = FarJudge(spec, rundir, stop, opened) if is_far(self.judge) else None

    def verdicts(self, pairs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        if self.stop:
            raise Interrupted
        yield from self._far.verdicts(self.judge, pairs) if self._far else self._here(pairs)

    def _here(self, pairs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        if not pairs:
            return
        # torch is slow to import, and a judge that is an endpoint needs none of it
        from steelyard.inference.judging.local import LocalJudge

        if self._writer is None:
            self._writer = load_writer(self.judge["model"], stop=lambda: bool(self.stop))
        asked = LocalJudge(self._writer, self.judge, judge_sampling(self.judge))
        for start in range(0, len(pairs), asked.batch):
            yield from asked.verdicts(pairs[start : start + asked.batch])
