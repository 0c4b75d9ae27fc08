"""Asking a pipeline's members: endpoints at their pace and from the ledger first, models in this
process in batches. And a whole pipeline asked as an endpoint is, so that it can judge."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steelyard.inference.endpoint import guess_tokens
from steelyard.inference.judging.calls import Answer, Caller, Used
from steelyard.inference.judging.ledger import Kept, Ledger
from steelyard.inference.judging.limits import Budget
from steelyard.inference.loading import CONCURRENCY, check_blind, load_writer, open_endpoint
from steelyard.inference.pipelines.config import Config, read_config
from steelyard.inference.pipelines.flow import Call, Messages, Outcome, Said, run
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of, stable_int
from steelyard.lib.said import Said as Sentence

LOCAL = {"causal_lm", "vision_language"}


@dataclass(frozen=True)
class Shared:
    """What the members of a pipeline have in common.

    ``calls`` is the file of the endpoints' answers that are paid for, ``own`` that of answers of
    models in this process; nothing is kept where there is none.
    """

    calls: Path | None = None
    own: Path | None = None
    pace: Path | None = None
    owner: str = ""
    """Whose calls these are, in the ledger."""
    run: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Rates, caps and prices, of all members together."""
    spent: Sequence[float] = ()


class Members:
    """The models of a pipeline by their names; may be asked from several threads."""

    def __init__(
        self,
        specs: Mapping[str, Mapping[str, Any]],
        shared: Shared | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.specs, self.stop = specs, stop
        self.shared = shared = shared or Shared()
        self.ledger = Ledger(shared.calls, shared.owner, shared.run)
        self._own = Ledger(shared.own) if shared.own else None
        self.ledger.know(shared.spent)
        self.budget = Budget(shared.limits)
        calls, tokens_in, tokens_out, cost, seconds = self.ledger.used()
        self.used = Used(calls, 0, tokens_in, tokens_out, cost, seconds)
        self._callers: dict[str, Caller] = {}
        self._writers: dict[str, Any] = {}
        self._lock, self._loading = threading.Lock(), threading.RLock()
        self._pool = ThreadPoolExecutor(shared.limits.get("at_once", CONCURRENCY))

    def say(self, calls: Sequence[Call], attempts: int | None = None) -> list[Said]:
        """One answer a call, in order. As :class:`~steelyard.inference.pipelines.flow.Asking`.

        Args:
            attempts: how often an endpoint is asked, where it is not as often as usual.
        """
        far = {
            place: self._pool.submit(self._far, call, attempts)
            for place, call in enumerate(calls)
            if self._family(call.member) == "endpoint"
        }
        here = [place for place in range(len(calls)) if place not in far]
        made = dict(zip(here, self._here([calls[place] for place in here]), strict=True))
        said = [far[p].result() if p in far else made[p] for p in range(len(calls))]
        for one in said:
            self._count(one)
        return said

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for caller in self._callers.values():
            caller.close()
        for writer in self._writers.values():
            writer.close()
        self.ledger.close()
        if self._own is not None:
            self._own.close()

    def _family(self, name: str) -> str:
        return str(self.specs[name]["family"])

    def _far(self, call: Call, attempts: int | None) -> Said:
        caller = self._caller(call.member)
        # a question that is answered the same by all seeds is asked once
        sample = call.seed if call.sampling["temperature"] else 0
        answer = caller.ask(
            lambda structured: call.messages,
            sampling=call.sampling,
            sample=sample,
            schema={},
            attempts=attempts,
        )
        return Said(answer.text, **{"cached": False, **answer.usage})

    def _caller(self, name: str) -> Caller:
        with self._loading:
            if name not in self._callers:
                spec = self.specs[name]
                caller = Caller(
                    open_endpoint(spec),
                    limits=self.shared.limits,
                    ledger=self.ledger,
                    pace=self.shared.pace,
                    plain=True,
                    revision=spec.get("revision", ""),
                    stop=self.stop,
                )
                # caps hold for all members together
                caller.budget = self.budget
                self._callers[name] = caller
            return self._callers[name]

    def _here(self, calls: Sequence[Call]) -> list[Said]:
        """Models in this process, each with all that it is asked in the same way at once."""
        keys = [self._key(call) for call in calls]
        made: dict[int, Said] = {}
        for place, key in enumerate(keys):
            if self._own is not None and (known := self._own.get(key)):
                made[place] = Said(
                    known.answer["text"], known.tokens_in, known.tokens_out, cached=True
                )
        groups: dict[str, list[int]] = {}
        for place, call in enumerate(calls):
            if place not in made:
                groups.setdefault(digest_of([call.member, dict(call.sampling)]), []).append(place)
        for places in groups.values():
            for place, said in zip(places, self._write([calls[p] for p in places]), strict=True):
                made[place] = said
                if self._own is not None:
                    kept = Kept({"text": said.text}, said.tokens_in, said.tokens_out, 0.0, 0.0)
                    self._own.keep(keys[place], kept)
        return [made[place] for place in range(len(calls))]

    def _write(self, calls: Sequence[Call]) -> list[Said]:
        with self._loading:
            name = calls[0].member
            if name not in self._writers:
                self._writers[name] = load_writer(self.specs[name], stop=self.stop)
            writer = self._writers[name]
            texts = writer.write(
                [call.messages for call in calls],
                sampling=calls[0].sampling,
                seeds=[call.seed for call in calls],
            )
        tokenizer = getattr(writer, "tokenizer", None) or writer.processor.tokenizer
        return [
            Said(
                text,
                guess_tokens({"messages": call.messages}),
                len(tokenizer.encode(text, add_special_tokens=False)),
            )
            for call, text in zip(calls, texts, strict=True)
        ]

    def _key(self, call: Call) -> str:
        spec = self.specs[call.member]
        return digest_of(
            {
                "source": [spec["family"], spec["source"], spec.get("adapters", [])],
                "asked": [dict(message) for message in call.messages],
                "sampling": {name: float(value) for name, value in call.sampling.items()},
                "seed": call.seed if call.sampling["temperature"] else 0,
            }
        )

    def _count(self, said: Said) -> None:
        with self._lock:
            if said.cached:
                self.used.cached += 1
                return
            self.used.calls += 1
            self.used.tokens_in += said.tokens_in
            self.used.tokens_out += said.tokens_out
            self.used.cost += said.cost
            self.used.seconds += said.seconds


def check_members(specs: Mapping[str, Mapping[str, Any]], config: Config) -> None:
    """Say what can be known to go wrong without loading weights or asking anybody.

    Raises:
        UserError: a member is missing or writes no text, or an endpoint's key is not there.
    """
    from steelyard.inference.loading import check_writer

    for name in config.models:
        spec = specs.get(name)
        if spec is None:
            raise UserError(Sentence(WORDS, "no_member", name=name), code="bad_pipeline")
        if spec["family"] not in LOCAL | {"endpoint"}:
            raise UserError(Sentence(WORDS, "bad_member", name=name), code="bad_pipeline")
        check_writer(spec, [], sampling={})


class Pipeline:
    """A pipeline by its spec, as ``ModelVersion.as_spec`` gives it."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        shared: Shared | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.spec, self.config = spec, read_config(spec["layers"])
        self.members = Members(spec["members"], shared or shared_of(spec), stop)

    def run(
        self,
        prompts: Sequence[Messages],
        seeds: Sequence[int],
        sampling: Mapping[str, Any],
        attempts: int | None = None,
    ) -> list[Outcome]:
        return run(self.config, self.members, prompts, seeds, sampling, attempts)

    def close(self) -> None:
        self.members.close()


def shared_of(spec: Mapping[str, Any], **more: Any) -> Shared:
    """Where the answers are kept, as the spec says."""
    places = {name: Path(spec[name]) for name in ("calls", "pace") if spec.get(name)}
    return Shared(**{**places, "owner": f"pipeline {spec['name']}", **more})


class PipelineCaller:
    """A pipeline as a judge asks an endpoint (see
    :class:`~steelyard.inference.judging.calls.Caller`): what its last layer says is the answer."""

    plain = False

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.manners = Sure()

    @property
    def used(self) -> Used:
        return self.pipeline.members.used

    @property
    def budget(self) -> Budget:
        return self.pipeline.members.budget

    @property
    def ledger(self) -> Ledger:
        return self.pipeline.members.ledger

    def close(self) -> None:
        self.pipeline.close()

    def ask(
        self,
        worded: Callable[[bool], Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        sample: int = 0,
        schema: Mapping[str, Any],
        pictures: Sequence[str] = (),
        shown: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """The question in words, for a pipeline's members hold to no schema.

        Raises:
            UserError: a member gave no answer, there are pictures, or ``budget_spent``.
        """
        check_blind(self.pipeline.spec, [pictures])
        seed = stable_int("judge", sample) & 0x7FFF_FFFF
        made = self.pipeline.run([worded(False)], [seed], sampling, attempts)[0]
        rows = [row for layer in made.layers for row in layer["said"]]
        usage = {
            "tokens_in": made.tokens_in,
            "tokens_out": made.tokens_out,
            "cost": self.budget.price(made.tokens_in, made.tokens_out),
            "seconds": 0.0,
        }
        if rows and all(row.get("cached") for row in rows):
            usage["cached"] = True
        return Answer(made.text, None, "text", usage)


class Sure:
    """It is known how a pipeline is asked."""

    sure = True
    form = "text"
    chances = False
