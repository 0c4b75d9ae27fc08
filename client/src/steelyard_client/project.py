"""One project and its verbs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any
from uuid import uuid4

from steelyard_client import progress as bars
from steelyard_client.connection import Connection
from steelyard_client.curation import CurationVerbs
from steelyard_client.errors import Invalid, NotFound, SteelyardError
from steelyard_client.inside import plain
from steelyard_client.pairs import (
    Added,
    File,
    NewPair,
    WrongPair,
    as_line,
    batches,
    is_hash,
    name_and_hash,
)
from steelyard_client.ranking import RankingVerbs
from steelyard_client.records import (
    Asset,
    Estimate,
    EvaluationInfo,
    Imported,
    Judge,
    Judgment,
    Leaderboard,
    Lease,
    Message,
    Output,
    Pair,
    Preview,
    Progress,
    ProjectInfo,
    Prompt,
    PromptSet,
    PublishedLeaderboard,
    Recorded,
    RunInfo,
    VersionInfo,
)
from steelyard_client.runs import ENDED, Evaluation, Run
from steelyard_client.training import TrainingVerbs
from steelyard_client.versions import Dataset, Version
from steelyard_client.webhooks import WebhookVerbs

Recipe = Mapping[str, Any]


class Project(RankingVerbs, CurationVerbs, TrainingVerbs, WebhookVerbs):
    def __init__(self, connection: Connection, slug: str) -> None:
        super().__init__(connection, slug)
        self._sent: dict[str, str] = {}
        self.nothing = ""
        """Why the last ``next()`` had no pair."""

    def __repr__(self) -> str:
        return f"<Project {self.slug}>"

    @property
    def info(self) -> ProjectInfo:
        return ProjectInfo.of(self._connection.get(self._path))

    # ---- material

    def pairs(
        self,
        *,
        state: str | None = None,
        category: str | None = None,
        model: str | None = None,
        origin: str | None = None,
    ) -> Iterator[Pair]:
        """Pairs, the newest first, fetched page by page.

        Args:
            state: ``open`` or ``complete``.
            model: name of a model on either side.
        """
        said = {"state": state, "category": category, "model": model, "origin": origin}
        return map(Pair.of, self._pages("pairs", said))

    def prompts(
        self, *, category: str | None = None, held_out: bool | None = None
    ) -> Iterator[Prompt]:
        return map(Prompt.of, self._pages("prompts", {"category": category, "held_out": held_out}))

    def outputs(self, *, prompt: int | None = None, model: str | None = None) -> Iterator[Output]:
        return map(Output.of, self._pages("outputs", {"prompt": prompt, "model": model}))

    def add_pairs(
        self,
        pairs: Iterable[NewPair | Mapping[str, Any]],
        *,
        batch: int = 500,
        strict: bool = True,
        progress: bool = False,
    ) -> Added:
        """Bring in pairs, with the votes on them where they have some, batch by batch.

        Files are sent first, once each, and those that are there are not sent. Everything is known
        by its content: the same pairs again change nothing, so that after an error the whole can
        be brought again.

        Args:
            strict: stop at the first batch in which one is wrong; the right ones of it are in all
                the same. Otherwise go on, and ``problems`` of the answer has them.

        Raises:
            Invalid: one is wrong, named by its place from 1.
        """
        total, place = Added(), 0
        lines = (as_line(pair, number, self._sha256) for number, pair in enumerate(pairs, 1))
        with bars.line("pairs", "pairs", wanted=progress) as told:
            for part in batches(lines, batch):
                self._add_lines(part, place, total)
                place += len(part)
                told(place, len(pairs) if isinstance(pairs, Sized) else 0)
                if strict and total.problems:
                    first = total.problems[0]
                    more = len(total.problems) - 1
                    rest = f" ({more} more of its batch are wrong.)" if more else ""
                    raise Invalid(
                        first.status, first.code, f"Pair {first.place}: {first}{rest}", first.field
                    )
        return total

    def _add_lines(self, lines: list[str], before: int, total: Added) -> None:
        response = self._connection.send(
            "POST",
            f"{self._path}/pairs.ndjson",
            content="".join(f"{line}\n" for line in lines).encode(),
            headers={"Content-Type": "application/x-ndjson"},
            again=True,
        )
        for result in map(json.loads, response.text.splitlines()):
            if "problem" in result:
                total.problems.append(WrongPair.of(before + result["line"], result["problem"]))
            else:
                total.pairs.append(result["pair"])
                total.new += result["status"] == 201

    def add_prompts(self, prompts: Iterable[str | list[Message] | Mapping[str, Any]]) -> Imported:
        """Held-out prompts for evaluation: a text, messages, or a mapping with prompt, category,
        reference_answer, media."""
        rows = [row if isinstance(row, Mapping) else {"prompt": row} for row in prompts]
        return self._import("held_out", "\n".join(json.dumps(row) for row in rows))

    def import_file(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        kind: str = "pairs",
        mapping: Mapping[str, Any] | None = None,
        mode: str = "all",
        annotator: str = "",
        annotator_kind: str | None = None,
        background: bool | None = None,
        progress: bool = False,
    ) -> Imported:
        """Bring in a file as it is. Where the site reads it in the background, wait for that.

        Args:
            format: one of ``Client.formats()``; guessed from the first row where it is left
                out, but for ``mapped``: a guess of what plain columns mean is refused with what it
                would be.
            kind: ``pairs``, or ``held_out`` for JSON Lines of prompts kept for evaluation.
            mapping: which column is what, such as ``{"prompt": "question"}``.
            mode: ``all`` brings in nothing unless every row is right; ``good`` those that are.
            annotator: who chose, if no row says; ``annotator_kind`` is person or judge.

        Raises:
            Invalid: it is refused; ``raw["faults"]`` of the error has the first wrong rows.
            RunFailed: the same, found in the background.
        """
        file = Path(path)
        if kind == "held_out":
            fields = {"kind": kind}
        else:
            said = {"format": format, "mode": mode, "annotator": annotator}
            said |= {"annotator_kind": annotator_kind}
            said |= {"mapping": json.dumps(dict(mapping)) if mapping else None}
            said |= {"background": None if background is None else str(background).lower()}
            fields = {name: value for name, value in said.items() if value}
        where = f"{self._path}/import" + ("s" if kind == "pairs" else "")
        with bars.line(file.name, wanted=progress) as told:
            told(0, 0)
            done = Imported.of(self._connection.upload(where, file, name=file.name, fields=fields))
        if done.run is None or done.run.state in ENDED:
            return done
        Run(self._connection, self.slug, done.run).wait(progress=progress)
        return self.imported(done.run.id)

    def imported(self, run: int) -> Imported:
        """What the import of that run brought in, so far."""
        return Imported.of(self._connection.get(f"{self._path}/imports/{run}"))

    def save_import_errors(self, run: int, path: str | Path) -> Path:
        """Save all that was wrong in a file, one JSON object a line."""
        target = Path(path)
        self._connection.download(f"{self._path}/imports/{run}/errors", target)
        return target

    def upload(self, file: File) -> Asset:
        """Keep a picture or clip, known by its content. It is kept without its metadata, so that
        the SHA-256 of the answer may be another than that of the file here."""
        name, _ = name_and_hash(file)
        media = file if isinstance(file, bytes) else Path(file)
        return Asset.of(self._connection.upload(f"{self._path}/assets", media, name=name))

    def assets(self) -> Iterator[Asset]:
        return map(Asset.of, self._pages("assets"))

    def download_asset(self, sha256: str, path: str | Path) -> Path:
        target = Path(path)
        self._connection.download(f"{self._path}/assets/{sha256}/file", target)
        return target

    def save_lines(self, what: str, path: str | Path, *, progress: bool = False) -> Path:
        """Save all ``pairs``, ``prompts`` or ``judgments``, one JSON object a line."""
        target = Path(path)
        with bars.line(what, "B", wanted=progress) as told:
            self._connection.download(f"{self._path}/{what}.ndjson", target, told=told)
        return target

    def _import(self, kind: str, text: str) -> Imported:
        said = {"kind": kind, "text": text}
        return Imported.of(self._connection.post(f"{self._path}/import", said, again=True))

    def _sha256(self, file: File) -> str:
        """The SHA-256 under which the site keeps a file, which is sent where it is not there."""
        if is_hash(file):
            return str(file)
        _, here = name_and_hash(file)
        if here not in self._sent:
            try:
                kept = self._connection.get(f"{self._path}/assets/{here}")["sha256"]
            except NotFound:
                kept = self.upload(file).sha256
            self._sent[here] = kept
        return self._sent[here]

    # ---- labelling

    def next(self, *, holding: Iterable[int] = ()) -> Lease | None:
        """Lease a pair; None where there is none now, and ``nothing`` says why.

        Args:
            holding: pairs that you have already, to get another one.
        """
        held = ",".join(map(str, holding)) or None
        response = self._connection.send(
            "GET", f"{self._path}/next", params={"holding": held}, again=True
        )
        self.nothing = response.headers.get("Steelyard-Nothing", "")
        return Lease.of(response.json()) if response.status_code == 200 else None

    def leases(self) -> Iterator[Lease]:
        """Pairs until there is none for you; submit a verdict on each before you go on."""
        while (lease := self.next()) is not None:
            yield lease

    def submit(
        self, pair: Lease | int, outcome: str, *, strength: int | None = None, **verdict: Any
    ) -> Recorded:
        """Hand in a verdict. Sent again after a lost answer it is the same judgment, by its UUID.

        Args:
            outcome: a, b, tie, both_bad or skip, of the sides that the lease names.
            strength: negative where a is better; a step where it is left out.
            verdict: what the project's label scheme has a place for: rationale, tags, aspects,
                evidence, segments, correction, skip_reason, exposure, duration_ms; and a uuid of
                your own.
        """
        body = {"uuid": str(uuid4()), "outcome": outcome, **verdict}
        body["pair"] = pair.pair if isinstance(pair, Lease) else pair
        if strength is not None:
            body["strength"] = strength
        said = self._connection.post(f"{self._path}/judgments", plain(body), again=True)
        return Recorded.of(said)

    def amend(self, judgment: Recorded | str, outcome: str, **verdict: Any) -> Recorded:
        """Say something else of a pair that you have judged; the first verdict is kept."""
        uuid = judgment.uuid if isinstance(judgment, Recorded) else judgment
        body = {"uuid": str(uuid4()), "outcome": outcome, **verdict}
        path = f"{self._path}/judgments/{uuid}/amend"
        return Recorded.of(self._connection.post(path, plain(body), again=True))

    def my_judgments(self) -> Iterator[Recorded]:
        return map(Recorded.of, self._pages("judgments/mine"))

    def progress(self) -> Progress:
        return Progress.of(self._connection.get(f"{self._path}/progress"))

    def judgments(
        self,
        *,
        by: str | None = None,
        annotator: str | None = None,
        model: str | None = None,
        category: str | None = None,
        outcome: str | None = None,
        run: int | None = None,
        pair: int | None = None,
        superseded: bool = False,
    ) -> Iterator[Judgment]:
        """Everybody's verdicts, the newest first, fetched page by page.

        Args:
            by: ``people`` or ``judges``.
            superseded: those too that were replaced.
        """
        said = {
            "by": by,
            "annotator": annotator,
            "model": model,
            "category": category,
            "outcome": outcome,
            "run": run,
            "pair": pair,
            "all": True if superseded else None,
        }
        return map(Judgment.of, self._pages("judgments", said))

    # ---- versions

    def preview(self, recipe: Recipe | None = None) -> Preview:
        """What a recipe would freeze at this moment."""
        return Preview.of(self._connection.get(f"{self._path}/versions/preview", recipe))

    def freeze(
        self,
        name: str,
        recipe: Recipe | None = None,
        note: str = "",
        *,
        background: bool | None = None,
        progress: bool = False,
    ) -> Version:
        """Freeze the votes as the next version of a dataset.

        Args:
            background: whether a run does it, which is waited for; the site decides by the number
                of votes where it is left out.

        Raises:
            Conflict: the same votes and recipe have made a version already (``version_exists``).
            RunFailed: the same, or anything else, found by the run.
        """
        body: dict[str, Any] = {"dataset": name, "recipe": dict(recipe or {}), "note": note}
        if background is not None:
            body["background"] = background
        response = self._connection.send("POST", f"{self._path}/versions/publish", json=body)
        if response.status_code != 202:
            return self._version(response.json())
        result = self._run(response.json()).wait(progress=progress).result or {}
        for version in self.dataset(" ".join(name.split())).versions():
            if version.manifest().get("rows_sha256") == result.get("rows_sha256"):
                return version
        raise SteelyardError(f"The new version of {name} is not there any more.")

    def datasets(self) -> list[Dataset]:
        """By name."""
        names = {row["dataset"] for row in self._pages("versions")}
        return [self.dataset(name) for name in sorted(names)]

    def dataset(self, name: str) -> Dataset:
        return Dataset(self._connection, self.slug, name)

    def versions(self, *, dataset: str | None = None, tag: str | None = None) -> Iterator[Version]:
        """The newest first, of all datasets where none is named, whatever their tags."""
        return map(self._version, self._pages("versions", {"dataset": dataset, "tag": tag}))

    def version(self, number: int) -> Version:
        """By its number on the site (``id``), whatever its dataset."""
        return self._version(self._connection.get(f"{self._path}/versions/{number}"))

    def _version(self, row: Mapping[str, Any]) -> Version:
        return Version(self._connection, self.slug, VersionInfo.of(row))

    # ---- judges and runs

    def judges(self) -> list[Judge]:
        """AI judges."""
        return [Judge.of(row["judge"]) for row in self._connection.get(f"{self._path}/judges")]

    def add_scorer(self, name: str, kind: str, source: str, **more: Any) -> Judge:
        """Add a scorer of pictures or clips (``weights``, ``api_key``, ``dimension``, ``tie_band``,
        ``frames``); it is asked as any judge is."""
        body = {"name": name, "kind": kind, "source": source, **more}
        return Judge.of(self._connection.post(f"{self._path}/scorers", body))

    def add_judge(self, name: str, model: str, **more: Any) -> Judge:
        """Make an AI judge of a model (``criteria``, ``rubric``, ``template``, ``orders``,
        ``samples``, ``temperature``, ``max_new_tokens``, ``limits``, ``note``)."""
        body = {"name": name, "model": model, **more}
        return Judge.of(self._connection.post(f"{self._path}/judges", body))

    def new_judge_version(self, judge: Judge | str, **changes: Any) -> Judge:
        """The next version of a judge; what is not said stays as it is."""
        return Judge.of(self._connection.post(f"{self._of_judge(judge)}/versions", changes))

    def limit_judge(self, judge: Judge | str, **limits: Any) -> Judge:
        """Set a judge's pace, prices and caps; what is not said is no longer limited."""
        return Judge.of(self._connection.put(f"{self._of_judge(judge)}/limits", limits))

    def estimate_judge(self, judge: Judge | str, **which: Any) -> Estimate:
        """About what asking a judge would take; nobody is asked."""
        return Estimate.of(self._connection.post(f"{self._of_judge(judge)}/estimate", which))

    def check_judge(self, judge: Judge | str) -> Run:
        """Measure how much an answer gains by telling the judge to choose it; admins only."""
        return self._run(self._connection.post(f"{self._of_judge(judge)}/checks", {}))

    def judge_card(self, judge: Judge | str) -> dict[str, Any]:
        """What is known of a judge: agreement with people, calibration, position, cost."""
        card: dict[str, Any] = self._connection.get(f"{self._of_judge(judge)}/card")
        return card

    def tune_judge(self, judge: Judge | str, reflection: str, **options: Any) -> Run:
        """Let a model write better criteria by what people said and why (``budget``, ``seed``).

        The best become the judge's next version, with its agreement on pairs that the search never
        saw; ``tuning(run.id)`` tells it and all texts that were tried.
        """
        body = {"reflection": reflection, **options}
        return self._run(self._connection.post(f"{self._of_judge(judge)}/tunings", body))

    def tuning_plan(self, judge: Judge | str) -> dict[str, Any]:
        """The pairs that a judge would be tuned and tested on, and the budget proposed."""
        found: dict[str, Any] = self._connection.get(f"{self._of_judge(judge)}/tunings")
        return found

    def tuning(self, run: int) -> dict[str, Any]:
        """A tuning run: its ``texts``, the version ``made`` and the agreement in ``test``."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/tunings/{run}")
        return found

    def ask_judge(self, judge: Judge | str, **which: Any) -> Run:
        """Let an AI judge compare pairs (``which``, ``category``, ``prompts``, ``limit``)."""
        return self._run(self._connection.post(f"{self._of_judge(judge)}/runs", which))

    def _of_judge(self, judge: Judge | str) -> str:
        found = self._judge(judge) if isinstance(judge, str) else judge
        return f"{self._path}/judges/{found.id}"

    def _judge(self, name: str) -> Judge:
        there = self.judges()
        for one in there:
            if one.name == name:
                return one
        names = ", ".join(one.name for one in there) or "none"
        raise SteelyardError(f"{self.slug} has no judge {name!r}; it has {names}.")

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

    def new_pairs(self, model: str, *, opponent: str | None = None, **options: Any) -> Run:
        """Let a model answer the prompts that are not held out; the pairs come into the queue.

        Args:
            opponent: the model whose answers stand beside; a second answer of its own where none.
            options: category, limit, sampling, seed.
        """
        body = {"model": model, **options} | ({"opponent": opponent} if opponent else {})
        return self._run(self._connection.post(f"{self._path}/rounds", body))

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

    def runs(self, *, kind: str | None = None, state: str | None = None) -> Iterator[Run]:
        """The newest first."""
        return map(self._run, self._pages("runs", {"kind": kind, "state": state}))

    def run(self, number: int) -> Run:
        return self._run(self._connection.get(f"{self._path}/runs/{number}"))

    def _run(self, row: Mapping[str, Any]) -> Run:
        return Run(self._connection, self.slug, RunInfo.of(row))

    def leaderboard(
        self,
        *,
        by: str | None = None,
        judge: str | None = None,
        category: str | None = None,
        until: str | None = None,
        without: Iterable[str] = (),
        style: bool = False,
        equal: bool = False,
    ) -> Leaderboard:
        """Ratings over the votes of ``people`` or ``judges``, of one judge, or ``combined``: few of
        people with many of judges.

        Args:
            until: a day such as 2026-01-31, counted to its end, or a moment in ISO 8601.
            without: annotators whose votes are left out.
            style: ratings as they would be, did the outputs not differ in style.
            equal: every two models count equally, however often they met.
        """
        said = self._board(by, judge, category, until, without, style, equal)
        return Leaderboard.of(self._connection.get(f"{self._path}/leaderboard", said))

    def _board(
        self,
        by: str | None,
        judge: str | None,
        category: str | None,
        until: str | None,
        without: Iterable[str],
        style: bool,
        equal: bool,
    ) -> dict[str, Any]:
        """Which votes are meant, as the API takes it."""
        said = {
            "by": by or ("judges" if judge else "people"),
            "judge": judge,
            "category": category,
            "until": until,
            "without": list(without),
            "style": style or None,
            "equal": equal or None,
        }
        return {name: value for name, value in said.items() if value}

    def leaderboard_matrix(self, **said: Any) -> dict[str, Any]:
        """Who beat whom, and what the ratings expect; takes what ``leaderboard`` takes."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/leaderboard/matrix", said)
        return found

    def leaderboard_categories(self, **said: Any) -> list[dict[str, Any]]:
        """A leaderboard for each category; takes what ``leaderboard`` takes."""
        found: list[dict[str, Any]] = self._connection.get(
            f"{self._path}/leaderboard/categories", said
        )
        return found

    def publish_leaderboard(
        self,
        title: str,
        *,
        note: str = "",
        by: str | None = None,
        judge: str | None = None,
        category: str | None = None,
        until: str | None = None,
        without: Iterable[str] = (),
        style: bool = False,
        equal: bool = False,
    ) -> PublishedLeaderboard:
        """Keep the leaderboard as it stands now; admins alone may."""
        said = self._board(by, judge, category, until, without, style, equal)
        body = {"title": title, "note": note, **said}
        return PublishedLeaderboard.of(self._connection.post(f"{self._path}/leaderboards", body))

    def published_leaderboards(self) -> Iterator[PublishedLeaderboard]:
        """The newest first."""
        return map(PublishedLeaderboard.of, self._pages("leaderboards"))

    def published_leaderboard(self, number: int, *, recompute: bool = False) -> dict[str, Any]:
        """One with its rows in ``result`` and what has become of its votes in ``since``; with
        ``recompute`` also the same options on today's votes in ``now``."""
        said = {"recompute": "true"} if recompute else None
        found: dict[str, Any] = self._connection.get(f"{self._path}/leaderboards/{number}", said)
        return found
