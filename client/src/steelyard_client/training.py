"""Models, and what trains them: one run, a look before it, a search for settings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from steelyard_client import progress as bars
from steelyard_client import runs
from steelyard_client.checkpoints import CheckpointVerbs
from steelyard_client.connection import Connection
from steelyard_client.errors import RunFailed, SteelyardError
from steelyard_client.inside import plain
from steelyard_client.records import JobInfo, Model, Record, RunInfo
from steelyard_client.runs import Run, TrainingJob
from steelyard_client.versions import Version

Settings = Mapping[str, Any]
SETTLED = {"done", "failed", "cancelled"}


@dataclass(frozen=True, kw_only=True)
class SweepInfo(Record):
    """A search for settings. ``trials`` are tuning figures; ``final`` alone may be quoted."""

    id: int
    name: str
    state: str
    paused: bool
    why_ended: str
    version: int
    base: str
    recipe: str
    trials_wanted: int
    trials_asked: int
    model_name: str
    created_at: datetime
    finished_at: datetime | None = None
    trials: list[dict[str, Any]] = field(default_factory=list)
    final: list[dict[str, Any]] = field(default_factory=list)
    """By winner, and for the usual settings as trial 0: model, figures with their intervals."""


class Sweep:
    """Many training runs of one recipe, each with other settings."""

    def __init__(self, connection: Connection, project: str, info: SweepInfo) -> None:
        self._connection, self.project, self.info = connection, project, info
        self._path = f"projects/{project}/sweeps/{info.id}"

    def __repr__(self) -> str:
        return f"<Sweep {self.id} {self.info.name!r} {self.info.state}>"

    @property
    def id(self) -> int:
        return self.info.id

    def refresh(self) -> SweepInfo:
        self.info = SweepInfo.of(self._connection.get(self._path))
        return self.info

    def wait(self, *, progress: bool = False, timeout: float | None = None) -> SweepInfo:
        """Wait until it has ended; ``final`` of the answer is the result.

        Raises:
            RunFailed: it failed, with its reason, or was cancelled.
            SteelyardError: the time is over; the sweep goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with bars.line(self.info.name, "trials", wanted=progress) as told:
            while self.refresh().state not in SETTLED:
                told(self.info.trials_asked, self.info.trials_wanted)
                if end is not None and time.monotonic() > end:
                    raise SteelyardError(
                        f"Sweep {self.id} is still {self.info.state} after {timeout:g} s; it goes "
                        "on."
                    )
                time.sleep(runs.EVERY)
            told(self.info.trials_asked, self.info.trials_wanted)
        if self.info.state != "done":
            why = self.info.why_ended or "no reason is known"
            raise RunFailed(f"Sweep {self.id} is {self.info.state}: {why}", run=0, code="sweep")
        return self.info

    def pause(self) -> SweepInfo:
        """Begin no more runs; those that run go on."""
        return self._ask("pause")

    def resume(self) -> SweepInfo:
        return self._ask("resume")

    def cancel(self) -> SweepInfo:
        """End it and its runs; what they have measured stays."""
        return self._ask("cancel")

    def _ask(self, verb: str) -> SweepInfo:
        self.info = SweepInfo.of(self._connection.post(f"{self._path}/{verb}", again=True))
        return self.info


class TrainingVerbs(CheckpointVerbs):
    def models(self) -> Iterator[Model]:
        return map(Model.of, self._pages("models"))

    def add_model(self, name: str, family: str, source: str, **options: str) -> Model:
        """Name a model by its hub name, folder or endpoint (``endpoint_model``, ``api_key``)."""
        body = {"name": name, "family": family, "source": source, **options}
        return Model.of(self._connection.post(f"{self._path}/models", body))

    def with_revisions(self, model: Model | str, revisions: int) -> Model:
        """A model that was trained by ``srpo``, improving its answer so many times: a model of its
        own, to be evaluated like any other. Asked for again, the same one."""
        path = f"{self._path}/models/{self._model(model)}/revised"
        return Model.of(self._connection.post(path, {"revisions": revisions}))

    def model_files(self, model: Model | str) -> list[dict[str, Any]]:
        """Name and size of each file of a model that was made here; none of another."""
        return list(self._connection.get(f"{self._path}/models/{self._model(model)}/files"))

    def download_model(
        self, model: Model | str, folder: str | Path, *, progress: bool = False
    ) -> Path:
        """Save the files of a model that was made here: card, config, weights or adapter. What
        breaks goes on where it was.

        Raises:
            SteelyardError: there are none.
        """
        path = f"{self._path}/models/{self._model(model)}/files"
        files = list(self._connection.get(path))
        if not files:
            raise SteelyardError("This model was not made here; it is where its source says.")
        root = Path(folder).resolve()
        for file in files:
            target = (root / file["name"]).resolve()
            if root not in target.parents:
                raise SteelyardError(f"{file['name']!r} would lie outside {folder}.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with bars.line(file["name"], "B", wanted=progress) as told:
                self._connection.download(f"{path}/{quote(file['name'])}", target, told=told)
        return Path(folder)

    def ask_model(
        self, model: Model | str, prompt: str, *, beside_base: bool = True
    ) -> list[dict[str, Any]]:
        """What a model answers, and beside it what its base does: model, text, seconds."""
        body = {"prompt": prompt, "beside_base": beside_base}
        path = f"{self._path}/models/{self._model(model)}/tries"
        number = self._connection.post(path, body)["id"]
        self._run_of(number).wait()
        return list(self._connection.get(f"{self._path}/tries/{number}")["answers"])

    def train(
        self,
        version: Version | int,
        *,
        recipe: str,
        base: str,
        name: str,
        config: Settings | None = None,
    ) -> TrainingJob:
        """Train a model on a version.

        Args:
            recipe: a way to train; ``Client.recipes()`` tells them with their settings.
            base: name of the model to start from.
            name: what the new model is called.
            config: settings by name; ``Client.preset()`` has some that go together.
        """
        body = {**_asked(version, recipe, base, config), "model_name": name}
        return self._job(self._connection.post(f"{self._path}/training-jobs", body))

    def preflight(
        self,
        version: Version | int,
        *,
        recipe: str,
        base: str,
        config: Settings | None = None,
        timeout: float | None = 300,
        progress: bool = False,
    ) -> dict[str, Any]:
        """What training with these settings would meet: ``level`` (fine, look or stop),
        ``findings`` with rows and remedies, a ``preview`` of tokens, ``figures``. Waits for it.

        Raises:
            RunFailed: the look itself failed.
        """
        body = _asked(version, recipe, base, config)
        number = self._connection.post(f"{self._path}/preflights", body)["id"]
        self._run_of(number).wait(progress=progress, timeout=timeout)
        found = self._connection.get(f"{self._path}/preflights/{number}")
        return dict(found["report"])

    def training_jobs(self) -> Iterator[TrainingJob]:
        return map(self._job, self._pages("training-jobs"))

    def samples(self, job: TrainingJob) -> list[dict[str, Any]]:
        """What a model wrote or painted while it was trained, as far as it has come: ``step``,
        ``prompt``, ``text`` or ``file``, and beside it what it made before (``reference_…``)."""
        return list(self._connection.get(f"{self._path}/training-jobs/{job.info.id}/samples"))

    def save_made(self, address: str, path: str | Path) -> Path:
        """Save a picture or clip that a run made, by the address that :meth:`samples` or
        ``generated`` tells."""
        self._connection.download(address, Path(path))
        return Path(path)

    def sweep(
        self,
        name: str,
        version: Version | int,
        *,
        recipe: str,
        base: str,
        model_name: str,
        space: Mapping[str, Mapping[str, Any]],
        objectives: Iterable[str | Mapping[str, str]] = ("test_reward_accuracy",),
        trials: int = 20,
        settings: Settings | None = None,
        **options: Any,
    ) -> Sweep:
        """Search a recipe's settings with many runs.

        Args:
            model_name: what the winner's model is called.
            space: what each setting is searched over: ``{"low": …, "high": …, "log": True}`` or
                ``{"choices": […]}``.
            objectives: measures, or mappings with measure and direction.
            settings: what is the same in every run.
            options: sampler, seed, tuning_seeds, test_seeds, hours, at_once, winners, prune, keep,
                split_held_out, with_usual.
        """
        aims = [{"measure": one} if isinstance(one, str) else dict(one) for one in objectives]
        asked = _asked(version, recipe, base, None)
        del asked["config"]
        body = {
            **asked,
            "name": name,
            "model_name": model_name,
            "space": {setting: dict(over) for setting, over in space.items()},
            "objectives": aims,
            "trials": trials,
            "settings": dict(settings or {}),
            **options,
        }
        return self._sweep(self._connection.post(f"{self._path}/sweeps", plain(body)))

    def sweeps(self) -> Iterator[Sweep]:
        """The newest first; ``refresh()`` of one brings its trials."""
        return map(self._sweep, self._pages("sweeps"))

    def get_sweep(self, number: int) -> Sweep:
        return self._sweep(self._connection.get(f"{self._path}/sweeps/{number}"))

    def _sweep(self, row: Mapping[str, Any]) -> Sweep:
        return Sweep(self._connection, self.slug, SweepInfo.of(row))

    def _job(self, row: Mapping[str, Any]) -> TrainingJob:
        return TrainingJob(self._connection, self.slug, JobInfo.of(row))

    def _run_of(self, number: int) -> Run:
        row = self._connection.get(f"{self._path}/runs/{number}")
        return Run(self._connection, self.slug, RunInfo.of(row))

    def _model(self, model: Model | str) -> int:
        """Its number on the site."""
        if isinstance(model, Model):
            return model.id
        for one in self.models():
            if one.name == model:
                return one.id
        raise SteelyardError(f"{self.slug} has no model {model!r}.")


def _asked(
    version: Version | int, recipe: str, base: str, config: Settings | None
) -> dict[str, Any]:
    return {
        "version": version.id if isinstance(version, Version) else version,
        "recipe": recipe,
        "base": base,
        "config": dict(config or {}),
    }
