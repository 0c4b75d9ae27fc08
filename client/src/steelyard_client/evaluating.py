"""Outputs that models make, and evaluations of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from steelyard_client.records import EvaluationInfo, PromptSet
from steelyard_client.runs import Evaluation, Run, RunVerbs


class EvaluationVerbs(RunVerbs):
    def evaluate(
        self,
        name: str,
        *,
        baseline: str,
        candidates: Iterable[str],
        people: bool | None = None,
        judges: Iterable[str] = (),
        **options: Any,
    ) -> Evaluation:
        """Compare models with a baseline, on the held-out prompts where nothing else is said.

        Args:
            baseline, candidates: names of models.
            people: whether people compare, in the labelling queue; where nothing is said, they do
                unless judges are named.
            judges: names of the AI judges and scorers that compare, each for itself.
            options: source (held_out, version, set), version and set (ids), category, limit,
                sampling, seed, preset, questions, plan.
        """
        judges = list(judges)
        body = {"name": name, "baseline": baseline, "candidates": list(candidates), **options}
        body |= {"people": not judges if people is None else people, "judges": judges}
        return self._evaluation(self._connection.post(f"{self._path}/evaluations", body))

    def make_prompt_set(self, name: str, **options: Any) -> PromptSet:
        """Make a set of prompts that evaluations come back to.

        Args:
            options: note, and held_out, version (an id), category, draw and seed of a filter, or
                lines, the text of a JSON Lines file.
        """
        body = {"name": name, **options}
        return PromptSet.of(self._connection.post(f"{self._path}/prompt-sets", body))

    def prompt_sets(self) -> Iterator[PromptSet]:
        """The newest first."""
        return map(PromptSet.of, self._pages("prompt-sets"))

    def give_gamed_rows(self, prompt_set: PromptSet | int, path: str | Path) -> PromptSet:
        """Give AlpacaEval's ``df_gamed.csv`` to the set that it is of, so that win rates at equal
        length have its estimator in full; admins only."""
        file = Path(path)
        body = {"lines": file.read_text(encoding="utf-8"), "name": file.name}
        return PromptSet.of(self._connection.put(self._gamed(prompt_set), body))

    def take_gamed_rows(self, prompt_set: PromptSet | int) -> None:
        """Take that file away."""
        self._connection.send("DELETE", self._gamed(prompt_set))

    def _gamed(self, prompt_set: PromptSet | int) -> str:
        number = prompt_set if isinstance(prompt_set, int) else prompt_set.id
        return f"{self._path}/prompt-sets/{number}/gamed-rows"

    def new_pairs(self, model: str, *, opponent: str | None = None, **options: Any) -> Run:
        """Let a model answer the prompts that are not held out; the pairs come into the queue.

        Args:
            opponent: the model whose answers stand beside; a second answer of its own where none.
            options: category, limit, sampling, seed.
        """
        body = {"model": model, **options} | ({"opponent": opponent} if opponent else {})
        return self._run(self._connection.post(f"{self._path}/rounds", body))

    def new_pairs_after(self, run: int, *, wanted: bool = True) -> dict[str, Any]:
        """Have a training run's model make new pairs as soon as it is there, or take that back."""
        path = f"{self._path}/runs/{run}/new-pairs"
        return dict(self._connection.put(path, {"wanted": wanted}))

    def revisions(self, run: int) -> dict[str, Any]:
        """What a training run has revised in ``answers``, and judges' win rates after each revision
        in ``judged``."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/runs/{run}/revisions")
        return found

    def judge_revisions(self, run: int, judge: str) -> Run:
        """Have a judge compare each revision of an answer with the answer before any."""
        body = {"judge": judge}
        return self._run(self._connection.post(f"{self._path}/runs/{run}/revisions", body))

    def generate(
        self,
        models: Iterable[str],
        *,
        prompts: Iterable[str] = (),
        pairing: str = "models",
        samples: int = 1,
        **options: Any,
    ) -> Run:
        """Let models make outputs in the background, to prompts of the project or to these.

        Args:
            models: their names.
            prompts: words of prompts; those that prompt_set names where there are none.
            pairing: what comes into the labelling queue: models, seeds or none.
            samples: outputs of each model to each prompt, each of another seed.
            options: prompt_set (held_out, category, limit, version), same_seeds, sampling, seed.
        """
        body = {"models": list(models), "pairing": pairing, "samples": samples, **options}
        told = list(prompts)
        body |= {"prompts": told} if told else {}
        return self._run(self._connection.post(f"{self._path}/generations", body))

    def generated(self, run: int) -> list[dict[str, Any]]:
        """What a generation has made so far: prompt, model, sample, seed, text and file of each."""
        found = self._connection.get(f"{self._path}/generations/{run}")
        return list(found["outputs"])

    def evaluations(self) -> Iterator[Evaluation]:
        return map(self._evaluation, self._pages("evaluations"))

    def evaluation(self, number: int) -> Evaluation:
        return self._evaluation(self._connection.get(f"{self._path}/evaluations/{number}"))

    def _evaluation(self, row: Mapping[str, Any]) -> Evaluation:
        return Evaluation(self._connection, self.slug, EvaluationInfo.of(row))
