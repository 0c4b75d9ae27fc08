"""Reader of sets to rank: one a line, with somebody's ranking if it has one.

::

    {"prompt": "…" or [{"role", "content"}], "category": "…", "media": ["…"],
     "outputs": [{"text": "…" or "media": "…", "model": "…"}, …],
     "ranking": [1, 2, 2, 3], "annotator": "…", "kind": "person", "rationale": "…", "tags": ["…"]}

Only ``prompt`` and ``outputs`` must be there, 2 to 9 of these. ``ranking`` has a number for each,
the best 1; equal numbers are a tie. Several rankings of one set are several lines. A set for the
training round has ``"training": true, "known": {"ranking": [2, 1], "reason": "…"}`` in place of a
ranking: the right order, and why it is right, where A, B, C are the outputs in their order. A file
is named by its SHA-256, or by its name in the archive that the lines come in.
"""

from __future__ import annotations

from collections.abc import Iterator

from annotation.formats.jsonl import Line, lines
from annotation.formats.pairs_jsonl import KINDS, MAX_MEDIA
from annotation.formats.records import ImportedAnswer, ImportedRanking
from annotation.tiers import LEAST, MOST

KEYS = ("prompt", "category", "media", "outputs", "known", "training")
RANKING_KEYS = ("ranking", "annotator", "kind", "rationale", "tags")
EXAMPLE = """\
{"prompt": "Why is the sky blue?", "outputs": [{"text": "Air scatters blue light most.", \
"model": "large"}, {"text": "It is the sea.", "model": "small"}, {"text": "No idea."}]}
{"prompt": "What is 7 times 8?", "outputs": [{"text": "54"}, {"text": "56"}, {"text": "55"}], \
"ranking": [2, 1, 2], "annotator": "worker 17"}
"""


def read(data: bytes) -> Iterator[ImportedRanking]:
    """One set a line.

    Raises:
        UserError: with the line and the key that is wrong, and what would be right.
    """
    for line in lines(data):
        yield _record(line)


def _record(line: Line) -> ImportedRanking:
    line.only(*KEYS, *RANKING_KEYS)
    answers = _answers(line)
    ranks = _ranks(line, len(answers))
    known, reason = _known(line, len(answers))
    if known and ranks:
        raise line.wrong("a set for the training round takes no “ranking”; leave it out.")
    if not ranks:
        stray = [key for key in RANKING_KEYS if line.values.get(key) is not None]
        if stray:
            raise line.wrong(f"“{stray[0]}” belongs to a ranking, but there is no “ranking”.")
    kind = line.text("kind", default="person")
    if kind not in KINDS:
        raise line.wrong(f"“kind” is “{kind}”; it must be person or judge.")
    return ImportedRanking(
        place=line.place,
        messages=line.messages("prompt"),
        category=line.name("category", default=""),
        media=line.names("media", most=MAX_MEDIA),
        answers=answers,
        ranks=ranks,
        annotator=line.name("annotator", limit=150) if ranks else "",
        kind=kind,
        rationale=line.text("rationale", default=""),
        tags=line.texts("tags"),
        known=known,
        known_reason=reason,
    )


def _answers(line: Line) -> list[ImportedAnswer]:
    given = line.values.get("outputs")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise line.wrong('“outputs” must be a list of objects such as {"text": "…", "model": "…"}.')
    if not LEAST <= len(given) <= MOST:
        raise line.wrong(f"“outputs” has {len(given)}; a set to rank has {LEAST} to {MOST}.")
    answers = [_answer(Line(line.number, one, line.place)) for one in given]
    if len(set(answers)) < len(answers):
        raise line.wrong("two of “outputs” are the same by the same model.")
    return answers


def _answer(part: Line) -> ImportedAnswer:
    part.only("text", "media", "model")
    media = part.name("media", default="", limit=1000)
    return ImportedAnswer(
        text=part.text("text", default="" if media else None),
        media=media,
        model=part.name("model", default="unknown", limit=200),
    )


def _known(line: Line, n: int) -> tuple[list[int], str]:
    """The right order and why; none of a set that is to be ranked."""
    given, training = line.values.get("known"), line.values.get("training")
    if training not in (None, True, False):
        raise line.wrong("“training” must be true or false.")
    if given is None and not training:
        return [], ""
    if not isinstance(given, dict) or not training:
        raise line.wrong(
            "a set for the training round has both “training”: true and “known”: "
            '{"ranking": [1, 2, …], "reason": "…"}.'
        )
    part = Line(line.number, given, line.place)
    part.only("ranking", "reason")
    ranks = _ranks(part, n)
    if not ranks:
        raise line.wrong("“known” has no “ranking”.")
    return ranks, part.text("reason", default="").strip()


def _ranks(line: Line, n: int) -> list[int]:
    """A number for each output, none where there is no ranking."""
    given = line.values.get("ranking")
    if given is None:
        return []
    right = isinstance(given, list) and all(type(rank) is int and 1 <= rank <= n for rank in given)
    if not right or len(given) != n:
        raise line.wrong(
            f"“ranking” is {given!r:.100}; it must have a whole number from 1 to {n} for each of "
            f"the {n} outputs, the best 1."
        )
    return list(given)
