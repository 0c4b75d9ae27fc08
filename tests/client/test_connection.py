"""What the client does when a server is away, busy or broken: a small real server plays it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from steelyard_client import (
    Client,
    ConnectionFailed,
    NotFound,
    ServerFault,
    SteelyardError,
    TooManyRequests,
    connection,
)


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    """Close the connection after so many bytes of the body."""


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    url: str
    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    """Gives its answers one after the other, and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            found.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            said = found.answers.pop(0)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body[: said.cut_at])

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Server(f"http://127.0.0.1:{http.server_port}", [])
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have waited."""
    waited: list[float] = []
    # of the client alone: other threads of this process may sleep meanwhile
    monkeypatch.setattr(connection, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, "sy_token", retries=3) as client:
        yield client


def problem(status: int, **said: Any) -> Answer:
    return Answer(status, json.dumps({"code": "x", "detail": "No.", **said}).encode())


def test_it_works_after_the_server_was_away_twice(
    server: Server, client: Client, waits: list[float]
) -> None:
    server.answers = [Answer(503), Answer(502), Answer(body=b'{"username": "rater"}')]
    assert client.me().username == "rater"
    assert len(waits) == 2
    assert waits[0] < waits[1]


def test_it_says_who_it_is(server: Server, client: Client) -> None:
    server.answers = [Answer(body=b'{"username": "rater"}')]
    client.me()
    assert server.asked[0].path == "/api/v1/me"
    assert server.asked[0].headers["Authorization"] == "Bearer sy_token"
    assert server.asked[0].headers["User-Agent"].startswith("steelyard-client/")


def test_it_gives_up_after_so_many_tries(
    server: Server, client: Client, waits: list[float]
) -> None:
    server.answers = [Answer(503)] * 4
    with pytest.raises(ServerFault, match="503"):
        client.me()
    assert (len(server.asked), len(waits)) == (4, 3)


def test_it_waits_as_long_as_it_is_told(server: Server, client: Client, waits: list[float]) -> None:
    server.answers = [
        Answer(429, headers={"Retry-After": "7"}),
        Answer(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Answer(body=b'{"username": "rater"}'),
    ]
    client.me()
    assert waits[0] == 7
    assert waits[1] < 2  # a time that is past says nothing


def test_it_does_not_wait_for_hours(server: Server, client: Client, waits: list[float]) -> None:
    server.answers = [Answer(429, headers={"Retry-After": "86400"})]
    with pytest.raises(TooManyRequests):
        client.me()
    assert waits == []


def test_what_must_not_happen_twice_is_not_sent_twice(
    server: Server, client: Client, waits: list[float]
) -> None:
    server.answers = [Answer(502)]
    with pytest.raises(ServerFault):
        client.project("x").train(1, recipe="dpo", base="a", name="b")
    assert len(server.asked) == 1


def test_what_was_not_taken_in_is_sent_again_whatever_it_is(
    server: Server, client: Client, waits: list[float]
) -> None:
    server.answers = [Answer(429), problem(404)]
    with pytest.raises(NotFound):
        client.project("x").freeze("answers")
    assert len(server.asked) == 2


def test_a_file_is_sent_whole_each_time(
    server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b'{"prompt": "?"}')
    counts = b'{"records": 1, "prompts": 1, "pairs": 1, "judgments": 0}'
    server.answers = [Answer(503), Answer(body=counts)]
    client.project("x").import_file(path)
    assert all(b'{"prompt": "?"}' in asked.body for asked in server.asked)


def test_how_much_of_a_file_is_sent_is_told(server: Server, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"x" * 200_000)
    server.answers = [Answer(body=b"{}")]
    told: list[tuple[int, int]] = []
    client._connection.upload("f", path, name="f", told=lambda *said: told.append(said))
    assert len(told) > 2, "piece by piece"
    assert told == sorted(told)
    assert told[-1] == (200_000, 200_000)
    assert server.asked[0].body.count(b"x") >= 200_000


def test_an_error_has_code_field_and_detail(server: Server, client: Client) -> None:
    server.answers = [problem(404, code="no_such_pair", field="pair", detail="There is no pair 7.")]
    with pytest.raises(NotFound, match="There is no pair 7") as caught:
        client.project("x").submit(7, "a")
    error = caught.value
    assert (error.status, error.code, error.field) == (404, "no_such_pair", "pair")


def test_several_wrong_fields_are_all_told(server: Server, client: Client) -> None:
    fields = {"strength": ["Too large."], "evidence": {"side": ["Unknown."]}}
    server.answers = [problem(400, fields=fields)]
    with pytest.raises(SteelyardError) as caught:
        client.project("x").submit(7, "a")
    assert str(caught.value) == "strength: Too large.; evidence.side: Unknown."


def test_a_download_goes_on_where_it_broke(
    server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    etag = {"ETag": '"v1"'}
    server.answers = [
        Answer(body=b"0123456789", headers=etag, cut_at=4),
        Answer(206, body=b"456789", headers=etag),
    ]
    path = client.project("x").download_asset("f" * 64, tmp_path / "clip")
    assert path.read_bytes() == b"0123456789"
    assert server.asked[1].headers["Range"] == "bytes=4-"
    assert server.asked[1].headers["If-Range"] == '"v1"'
    assert list(tmp_path.iterdir()) == [path]


def test_a_download_begins_anew_where_the_server_gives_no_parts(
    server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    server.answers = [
        Answer(body=b"0123456789", headers={"ETag": '"v1"'}, cut_at=4),
        Answer(body=b"abcdef", headers={"ETag": '"v2"'}),
    ]
    path = client.project("x").download_asset("f" * 64, tmp_path / "clip")
    assert path.read_bytes() == b"abcdef"


def test_a_download_that_stays_broken_leaves_nothing(
    server: Server, client: Client, waits: list[float], tmp_path: Path
) -> None:
    server.answers = [Answer(body=b"0123456789", cut_at=4)] * 4
    with pytest.raises(ConnectionFailed):
        client.project("x").download_asset("f" * 64, tmp_path / "clip")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_the_next_page_never_takes_the_token_elsewhere(
    server: Server, client: Client
) -> None:
    link = "http://elsewhere.example/api/v1/projects/x/pairs?cursor=abc"
    page = {"next": link, "previous": None, "results": []}
    server.answers = [
        Answer(body=json.dumps(page).encode()),
        Answer(body=json.dumps({**page, "next": None}).encode()),
    ]
    assert list(client.project("x").pairs()) == []
    assert server.asked[1].path == "/api/v1/projects/x/pairs?cursor=abc"


def test_nobody_there_is_told_in_a_sentence(waits: list[float]) -> None:
    with pytest.raises(ConnectionFailed, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        Client("http://127.0.0.1:9", "sy_token", retries=1).me()


def test_what_is_no_steelyard_is_told(server: Server, client: Client) -> None:
    server.answers = [Answer(body=b"<html>Welcome</html>")]
    with pytest.raises(SteelyardError, match="is that the address of a Steelyard"):
        client.me()


def test_a_site_that_moved_is_told_before_anything_is_sent_there(
    server: Server, client: Client
) -> None:
    server.answers = [Answer(301, headers={"Location": "https://new.example/"})]
    with pytest.raises(SteelyardError, match=r"leads to https://new\.example/"):
        client.project("x").freeze("answers")


@pytest.mark.parametrize("url", ["steelyard.example", "ftp://x", "http://", "https://[::1"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(SteelyardError, match="is no address of a site"):
        Client(url, "sy_token")


@pytest.mark.parametrize("token", ["sy token", "sy_tökén", "sy_token\n"])
def test_a_token_that_cannot_be_one_is_told_at_once(token: str) -> None:
    with pytest.raises(SteelyardError, match="signs that none has"):
        Client("http://127.0.0.1:9", token)


def test_without_any_address_or_token_it_says_where_they_come_from() -> None:
    with pytest.raises(SteelyardError, match="steelyard login URL"):
        Client()
    with pytest.raises(SteelyardError, match=r"No token for http://127\.0\.0\.1:9"):
        Client("http://127.0.0.1:9")


def test_the_environment_says_both(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("STEELYARD_URL", f"{server.url}/api/v1/")
    monkeypatch.setenv("STEELYARD_TOKEN", "sy_other")
    server.answers = [Answer(body=b'{"username": "rater"}')]
    Client().me()
    assert server.asked[0].path == "/api/v1/me"
    assert server.asked[0].headers["Authorization"] == "Bearer sy_other"
