"""How fast an endpoint's judgments come in, and whether any is lost or paid for twice.

10,000 judgments by a small server on this machine on a bad day (slow, 429, 500, answers cut off and
garbled), with a ``kill -9`` of the judging process in the middle; and the same server asked the
same questions by bare connections, which is its own limit. Run it by ``make bench``, or::

    python tests/benchmarks/bench_judging.py

STEELYARD_BENCH_JUDGMENTS makes it smaller. It ends with an error where a judgment is lost or paid
for twice.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("STEELYARD_PRIVATE_ENDPOINTS", "127.0.0.1")

from tests.engines import drive, endpoint_spec, lines, make_rundir, start, wait_until
from tests.faulty_server import FaultyServer

JUDGMENTS = int(os.environ.get("STEELYARD_BENCH_JUDGMENTS", "10000"))
AT_ONCE = 16
ENGINE = "annotation.engine"
ANSWER = json.dumps({"rationale": "It is good.", "verdict": "A", "strength": 2})


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        bare = bare_rate(min(JUDGMENTS, 4000))
        folder = Path(place)
        calm, _, _ = judging(folder / "calm", faulty=False, kill=False)
        stormy, server, judged = judging(folder / "stormy", faulty=True, kill=True)
    twice = sum(count - 1 for count in server.paid.values())
    again = sum(count - 1 for count in server.given.values())
    say(f"bare server: {bare:.0f} answers/s over {AT_ONCE} connections")
    say(f"without faults: {calm:.0f} judgments/s")
    met = ", ".join(f"{name} {count}" for name, count in sorted(server.met.items()))
    say(f"with faults ({met}) and a kill in the middle: {stormy:.0f} judgments/s")
    say(f"ratio of judgments/s to the bare server's: {calm / bare:.2f}")
    say(f"ratio of judgments lost: {JUDGMENTS - judged} of {JUDGMENTS}")
    say(f"ratio of answers paid for twice: {twice} of {JUDGMENTS}")
    say(f"sent again for nothing, being under way at the kill or cut off: {again}")
    if judged != JUDGMENTS or twice or len(server.paid) != JUDGMENTS:
        sys.exit("The books are not in order.")


def judging(folder: Path, *, faulty: bool, kill: bool) -> tuple[float, FaultyServer, int]:
    """Judgments a second, the start of the engine's process left out; the server's books; how many
    verdicts there are."""
    folder.mkdir()
    with FaultyServer(lambda body: ANSWER, faulty=faulty) as server:
        rundir = make_rundir(folder / "run", spec(server.url, folder))
        process = start(ENGINE, rundir)
        wait_until(lambda: len(server.given) > 0)
        started, before, paused = time.monotonic(), len(server.given), 0.0
        if kill:
            wait_until(lambda: len(server.given) >= JUDGMENTS // 2, timeout=600)
            process.send_signal(signal.SIGKILL)
            process.wait()
            stopped, had = time.monotonic(), len(server.given)
            process = start(ENGINE, rundir)
            wait_until(lambda: len(server.given) > had)
            paused = time.monotonic() - stopped
        process.wait(1200)
        taken = time.monotonic() - started - paused
        result = rundir.result() or drive(ENGINE, rundir)
        assert result["status"] == "succeeded", result
        judged = len({line["pair"] for line in lines(rundir, "verdicts.jsonl")})
    return (JUDGMENTS - before) / taken, server, judged


def spec(url: str, folder: Path) -> dict[str, Any]:
    return {
        "kind": "judge",
        "run": "bench",
        "calls": str(folder / "calls.sqlite"),
        "pace": str(folder / "pace.sqlite"),
        "judge": {
            "id": 1,
            "name": "judge",
            "model": endpoint_spec(url),
            "criteria": "The truer answer wins.",
            "template_version": 2,
            "sampling": {"temperature": 0.0, "max_new_tokens": 64},
            "asking": {"orders": "random"},
            "limits": {"at_once": AT_ONCE},
        },
        "pairs": [
            {
                "pair": number,
                "messages": [{"role": "user", "content": f"Question {number}?"}],
                "a": f"Answer {number}.",
                "b": "Another answer.",
            }
            for number in range(1, JUDGMENTS + 1)
        ],
    }


def bare_rate(count: int) -> float:
    """Answers a second by connections that do nothing else, with a body as long as a question's."""
    message = {"role": "user", "content": "x" * 1500}
    body = json.dumps({"model": "m", "messages": [message]}).encode()
    with FaultyServer(lambda body: ANSWER, faulty=False) as server:
        parts = urlsplit(server.url)

        def ask(worker: int) -> None:
            connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
            for number in range(count // AT_ONCE):
                headers = {"Idempotency-Key": f"{worker} {number}"}
                connection.request("POST", "/v1/chat/completions", body, headers)
                connection.getresponse().read()
            connection.close()

        workers = [threading.Thread(target=ask, args=(worker,)) for worker in range(AT_ONCE)]
        started = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return count // AT_ONCE * AT_ONCE / (time.monotonic() - started)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
