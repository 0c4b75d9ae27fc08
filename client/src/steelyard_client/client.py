from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from steelyard_client import signin
from steelyard_client.connection import Connection
from steelyard_client.errors import SteelyardError
from steelyard_client.inside import PAGE
from steelyard_client.project import Project
from steelyard_client.records import Format, Me


class Client:
    """The door to one Steelyard, for one token.

    Args:
        url: its address; else ``STEELYARD_URL``, else what ``steelyard login`` has kept.
        token: from an account page; else ``STEELYARD_TOKEN``, else what was kept for this address.
        timeout: seconds without any byte until a request counts as lost.
        retries: how often a request is sent again after 429, 502, 503, 504 or a lost connection,
            where that is safe; it waits as long as the server says, or longer each time.

    Raises:
        SteelyardError: there is no address or no token.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 5,
    ) -> None:
        url, token = signin.find(url, token)
        self._connection = Connection(url, token, timeout=timeout, retries=retries)

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    @property
    def url(self) -> str:
        return self._connection.url

    def me(self) -> Me:
        """Who the token belongs to; ``raw`` has the roles."""
        return Me.of(self._connection.get("me"))

    def projects(self) -> Iterator[Project]:
        for row in self._connection.pages("projects", {"limit": PAGE}):
            yield self.project(row["slug"])

    def project(self, slug: str) -> Project:
        """One by its name in addresses; nothing is asked yet."""
        return Project(self._connection, slug)

    def create_project(self, name: str, modality: str = "text", **settings: Any) -> Project:
        """Make a project (``slug``, ``guidelines``, ``label_scheme``, ``overlap``, …)."""
        body = {"name": name, "modality": modality, **settings}
        return self.project(self._connection.post("projects", body)["slug"])

    def recipes(self) -> list[dict[str, Any]]:
        """The ways to train, each with its settings, their help and defaults."""
        return list(self._connection.get("recipes"))

    def preset(self, recipe: str, key: str) -> dict[str, Any]:
        """Settings of a recipe that go together, by the ``key`` of one of its ``presets``.

        Raises:
            SteelyardError: there is no such recipe or preset.
        """
        for one in self.recipes():
            if one["name"] == recipe:
                there = {preset["key"]: preset for preset in one["presets"]}
                if key in there:
                    return dict(there[key]["settings"])
                names = ", ".join(there) or "none"
                raise SteelyardError(f"{recipe} has no preset {key!r}; it has {names}.")
        raise SteelyardError(f"There is no recipe {recipe!r}.")

    def formats(self) -> list[Format]:
        """What files can be brought in as, and versions written as."""
        return [Format.of(row) for row in self._connection.get("formats")]

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Any call of the API that has no verb here; ``path`` is below ``/api/v1/``."""
        again = method in {"GET", "PUT", "DELETE"}
        sent = self._connection.send(method, path, json=body, params=params, again=again)
        return sent.json() if sent.content else None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
