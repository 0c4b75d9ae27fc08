"""Votes frozen as versions of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steelyard_client.errors import SteelyardError
from steelyard_client.records import Preview, VersionInfo
from steelyard_client.runs import RunVerbs
from steelyard_client.versions import Dataset, Version

Recipe = Mapping[str, Any]


class FreezingVerbs(RunVerbs):
    def preview(self, recipe: Recipe | None = None, *, also: Sequence[str] = ()) -> Preview:
        """What a recipe would freeze at this moment.

        Args:
            also: further projects, as of :meth:`freeze`.
        """
        asked = _drawing(recipe, also)
        return Preview.of(self._connection.get(f"{self._path}/versions/preview", asked))

    def freeze(
        self,
        name: str,
        recipe: Recipe | None = None,
        note: str = "",
        *,
        also: Sequence[str] = (),
        background: bool | None = None,
        progress: bool = False,
    ) -> Version:
        """Freeze the votes as the next version of a dataset.

        Args:
            also: further projects, by their names in URLs, whose votes are drawn as well; you must
                be an owner of each, and of this one.
            background: whether a run does it, which is waited for; the site decides by the number
                of votes where it is left out.

        Raises:
            Conflict: the same votes and recipe have made a version already (``version_exists``).
            RunFailed: the same, or anything else, found by the run.
        """
        body: dict[str, Any] = {"dataset": name, "recipe": _drawing(recipe, also), "note": note}
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


def _drawing(recipe: Recipe | None, also: Sequence[str]) -> dict[str, Any]:
    asked = dict(recipe or {})
    return {**asked, "projects": [*asked.get("projects", ()), *also]} if also else asked
