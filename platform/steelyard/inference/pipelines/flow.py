"""A pipeline at work: layer after layer over many prompts at once, with a record of who said what.

What comes out depends on (config, members, prompt, seed) alone: every question's seed is made of
the prompt's and of what is asked of whom, never of order or of what else is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from steelyard.inference.pipelines import wording
from steelyard.inference.pipelines.config import (
    CRITIC,
    FUSER,
    GENERATOR,
    RANKER,
    TESTED,
    TESTS,
    VERIFIER,
    Component,
    Config,
    Layer,
)
from steelyard.lib.hashing import stable_int

HELPING = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 512}
"""How those write who rank, criticise and test, where nothing is said."""
WARM = 0.7
"""The temperature of several samples where nothing warmer is said."""
Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Call:
    """One question to one member."""

    member: str
    messages: Messages
    sampling: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class Said:
    """What a member said, and what it took."""

    text: str
    tokens_in: int
    tokens_out: int
    cost: float = 0.0
    seconds: float = 0.0
    cached: bool = False


class Asking(Protocol):
    def say(self, calls: Sequence[Call], attempts: int | None = None) -> list[Said]:
        """One answer a call, in order.

        Raises:
            UserError: a member gave none.
        """
        ...


@dataclass
class Candidate:
    number: int
    text: str
    critique: str = ""


@dataclass
class Job:
    """One prompt on its way through the layers."""

    messages: Messages
    seed: int
    candidates: list[Candidate] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    ranked: bool = False
    """Whether the candidates stand in order, the best first."""
    made: int = 0
    layers: list[dict[str, Any]] = field(default_factory=list)

    def add(self, text: str) -> Candidate:
        self.made += 1
        return Candidate(self.made, text)

    def draw(self, *about: object) -> int:
        """31 bits, which every library and endpoint takes."""
        return stable_int(self.seed, *about) & 0x7FFF_FFFF


@dataclass(frozen=True)
class Outcome:
    """A pipeline's answer and the whole of its record."""

    text: str
    layers: list[dict[str, Any]]
    calls: int
    tokens_in: int
    tokens_out: int
    answer: int
    """The number of the candidate that it is."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(
    config: Config,
    members: Asking,
    prompts: Sequence[Messages],
    seeds: Sequence[int],
    sampling: Mapping[str, Any],
    attempts: int | None = None,
) -> list[Outcome]:
    """What a pipeline answers to each prompt.

    Args:
        sampling: how generators and fusers write where they do not say it themselves.

    Raises:
        UserError: a member gave no answer.
    """
    jobs = [Job(messages, seed) for messages, seed in zip(prompts, seeds, strict=True)]
    for number, layer in enumerate(config.layers):
        step = _STEPS[layer[0].type]
        asked = [step.ask(job, layer, sampling) for job in jobs]
        said = iter(members.say([call for some in asked for call in some], attempts))
        for job, calls in zip(jobs, asked, strict=True):
            _take(job, layer, number, step, calls, [next(said) for _ in calls])
    return [_outcome(job) for job in jobs]


def _take(
    job: Job, layer: Layer, number: int, step: Step, calls: Sequence[Call], said: Sequence[Said]
) -> None:
    before = [one.number for one in job.candidates]
    rows: list[dict[str, Any]] = [
        {
            "model": call.member,
            "text": one.text,
            "tokens_in": one.tokens_in,
            "tokens_out": one.tokens_out,
        }
        | ({"cached": True} if one.cached else {})
        for call, one in zip(calls, said, strict=True)
    ]
    step.take(job, layer[0], rows)
    kept = [one.number for one in job.candidates]
    job.layers.append(
        {"layer": number + 1, "type": layer[0].type, "said": rows, "before": before, "kept": kept}
    )


def _outcome(job: Job) -> Outcome:
    """The best where they stand in order, else one that the seed draws."""
    place = 0 if job.ranked else job.draw("answer") % len(job.candidates)
    rows = [row for layer in job.layers for row in layer["said"]]
    chosen = job.candidates[place]
    return Outcome(
        text=chosen.text,
        layers=job.layers,
        calls=len(rows),
        tokens_in=sum(row["tokens_in"] for row in rows),
        tokens_out=sum(row["tokens_out"] for row in rows),
        answer=chosen.number,
    )


def _writing(one: Component, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """How a generator or fuser writes."""
    used = {name: sampling[name] for name in HELPING}
    if one.samples > 1 and not used["temperature"]:
        used["temperature"] = WARM
    return used | _own(one)


def _helping(one: Component) -> dict[str, Any]:
    return HELPING | _own(one)


def _own(one: Component) -> dict[str, Any]:
    said = {"temperature": one.temperature, "max_new_tokens": one.max_new_tokens}
    return {name: value for name, value in said.items() if value is not None}


class Step(Protocol):
    """What components of a type ask, and what becomes of what they hear. ``take`` gets a row for
    each question and may say in it what it read, and what it is about."""

    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]: ...
    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None: ...


class Generating:
    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]:
        calls = []
        drawn: Counter[str] = Counter()
        for one in layer:
            how = _writing(one, sampling)
            for _ in range(one.samples):
                # by member, so that more samples begin with those that fewer would have had
                seed = job.draw(GENERATOR, one.model, drawn[one.model])
                drawn[one.model] += 1
                calls.append(Call(one.model, job.messages, how, seed))
        return calls

    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        job.candidates = [job.add(row["text"]) for row in rows]
        job.ranked = False
        for row, candidate in zip(rows, job.candidates, strict=True):
            row["made"] = candidate.number


class Fusing(Generating):
    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]:
        there = job.candidates
        asked = wording.fuser(job.messages, [c.text for c in there], [c.critique for c in there])
        calls = []
        drawn: Counter[str] = Counter()
        for one in layer:
            how = _writing(one, sampling)
            for _ in range(one.samples):
                seed = job.draw(FUSER, one.model, drawn[one.model])
                drawn[one.model] += 1
                calls.append(Call(one.model, asked, how, seed))
        return calls


class OfEach:
    """One question a candidate."""

    def __init__(self, kind: str, worded: Callable[[Job, str], wording.Asked]) -> None:
        self.kind, self.worded = kind, worded

    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]:
        one = layer[0]
        return [
            Call(
                one.model,
                self.worded(job, candidate.text),
                _helping(one),
                job.draw(self.kind, one.model, candidate.text),
            )
            for candidate in job.candidates
        ]

    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        for row, candidate in zip(rows, job.candidates, strict=True):
            row["about"] = candidate.number


class Criticising(OfEach):
    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        super().take(job, one, rows)
        for row, candidate in zip(rows, job.candidates, strict=True):
            candidate.critique = row["text"]


class Verifying(OfEach):
    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        """Where none is found right all go on: one of them has to be the answer."""
        super().take(job, one, rows)
        for row in rows:
            row["read"] = wording.read_verdict(row["text"])
        right = [c for c, row in zip(job.candidates, rows, strict=True) if row["read"] is not False]
        job.candidates = right or job.candidates


class Testing(OfEach):
    """The evaluator of unit tests: the candidate that meets most of them comes first. Nothing is
    asked, and the candidates stay as they stand, where no tests could be read."""

    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]:
        return super().ask(job, layer, sampling) if job.tests else []

    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        if rows:
            super().take(job, one, rows)
            for row in rows:
                row["read"] = wording.read_tested(row["text"], len(job.tests))
            passed = [sum(met is True for met in row["read"]) for row in rows]
            order = sorted(range(len(rows)), key=lambda place: -passed[place])
            job.candidates = [job.candidates[place] for place in order]
            job.ranked = True
        job.candidates = job.candidates[: one.top_k]


class Ranking:
    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]:
        if len(job.candidates) < 2:
            return []
        one, shown = layer[0], [job.candidates[place] for place in self._shown(job)]
        asked = wording.ranker(job.messages, [c.text for c in shown], [c.critique for c in shown])
        return [Call(one.model, asked, _helping(one), job.draw(RANKER, one.model))]

    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        shown = self._shown(job)
        for row in rows:
            order = wording.read_ranking(row["text"], len(shown))
            row["shown"] = [job.candidates[place].number for place in shown]
            row["read"] = None
            if order is not None:
                ranked = [job.candidates[shown[place]] for place in order]
                row["read"] = [candidate.number for candidate in ranked]
                job.candidates = ranked
        job.candidates = job.candidates[: one.top_k]
        job.ranked = True

    def _shown(self, job: Job) -> list[int]:
        """Places in the order in which they are shown, which the seed draws: a liking for what
        stands first is nobody's gain."""
        places = range(len(job.candidates))
        return sorted(places, key=lambda place: job.draw("shown", len(job.layers), place))


class WritingTests:
    def ask(self, job: Job, layer: Layer, sampling: Mapping[str, Any]) -> list[Call]:
        one = layer[0]
        asked = wording.tests(job.messages, one.tests)
        return [Call(one.model, asked, _helping(one), job.draw(TESTS, one.model))]

    def take(self, job: Job, one: Component, rows: list[dict[str, Any]]) -> None:
        job.tests = [test for row in rows for test in wording.read_tests(row["text"], one.tests)]
        for row in rows:
            row["read"] = job.tests


_STEPS: dict[str, Step] = {
    GENERATOR: Generating(),
    FUSER: Fusing(),
    RANKER: Ranking(),
    CRITIC: Criticising(CRITIC, lambda job, text: wording.critic(job.messages, text)),
    VERIFIER: Verifying(VERIFIER, lambda job, text: wording.verifier(job.messages, text)),
    TESTS: WritingTests(),
    TESTED: Testing(TESTED, lambda job, text: wording.tested(job.messages, text, job.tests)),
}
