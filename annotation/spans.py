"""Where a place of a shown text stands in its Markdown source, and the other way round.

The shown text is what ``steelyard.web.markdown.shown_text`` says; offsets are in code points. The
parser tells which source lines a block came from and the order of what stands in it, so that each
stretch of letters is looked for only where it can be. Markup (list marks, asterisks, the address of
a link) belongs to no shown letter; what is written in other letters than it is shown with (an
entity, a formula with its dollars left out) is found as well as it goes. Pure: no database.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from markdown_it.helpers import parseLinkDestination, parseLinkTitle
from markdown_it.token import Token

from steelyard.lib.errors import UserError
from steelyard.web.markdown import CLOSERS, as_written, image_name, parse, shown_text

_LINE_END = re.compile(r"\r\n?|\n")


def to_source(text: str, start: int, end: int) -> tuple[int, int]:
    """From offsets of the shown text to those of the source.

    Args:
        text: the Markdown source.
        start, end: a stretch of the shown text with at least one letter in it.

    Raises:
        UserError: the stretch is not within the shown text, or nothing of it was written.
    """
    _check(start, end, len(shown := shown_text(text)), "shown text")
    places = _align(text, shown)
    first = bisect_left(places.at, start)
    last = bisect_left(places.at, end) - 1
    if first > last:
        raise UserError(
            f"The span from {start} to {end} holds no letter of the answer; mark some words of it.",
            code="empty_span",
            field="evidence",
        )
    return places.begin[first], places.end[last]


def to_shown(text: str, start: int, end: int) -> tuple[int, int]:
    """From offsets of the source to those of the shown text. A stretch that is markup alone, of
    which nothing is shown, comes out empty.

    Raises:
        UserError: the stretch is not within the source.
    """
    _check(start, end, len(text), "text")
    places = _align(text, shown := shown_text(text))
    first = bisect_right(places.end, start)
    last = bisect_left(places.begin, end) - 1
    if first > last:
        at = places.at[first] if first < len(places.at) else len(shown)
        return at, at
    return places.at[first], places.at[last] + 1


def _check(start: int, end: int, size: int, what: str) -> None:
    if not 0 <= start < end <= size:
        raise UserError(
            f"A span from {start} to {end} is not within the {what}, which has {size} characters.",
            code="span_outside",
            field="evidence",
        )


@dataclass
class _Places:
    """Of each shown code point that was written: where it is shown, and from where to where it
    stands in the source. All three ascend."""

    at: list[int] = field(default_factory=list)
    begin: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)

    def add(self, shown: int, begin: int, end: int) -> None:
        if self.end and begin < self.end[-1] and (begin, end) != (self.begin[-1], self.end[-1]):
            return
        self.at.append(shown)
        self.begin.append(begin)
        self.end.append(end)


@dataclass
class _Block:
    """A block's own content, line by line, and where each of its letters stands in the source."""

    content: str
    where: list[int]
    """of each code point of the content, -1 for one that is not in the source"""


def _align(text: str, shown: str) -> _Places:
    source = _Source(text)
    places = _Places()
    at = 0  # how far the shown text is done
    in_cell = False
    if shown == as_written(text):  # letter by letter
        lead = len(source.text) - len(source.text.lstrip())
        _put(places, shown, 0, shown, *(range(n, n + len(shown)) for n in (lead, lead + 1)))
        return _as_given(places, source)
    for token in parse(text):
        if token.type == "inline":
            block = source.block(token, in_cell=in_cell)
            for letters, begins, ends in _leaves(token.children or [], block):
                at = _put(places, shown, at, letters, begins, ends)
        elif token.type in ("fence", "code_block", "math_block"):
            block = source.block(token)
            ends = [w + 1 for w in block.where]
            if token.type == "math_block":
                _with_delimiters(token.markup, source.text, block.where, ends)
            at = _put(places, shown, at, block.content, block.where, ends)
        in_cell = token.type in ("th_open", "td_open")
    return _as_given(places, source)


def _as_given(places: _Places, source: _Source) -> _Places:
    """From the source as the parser reads it back to the one that was given."""
    if source.joined:
        places.begin = [source.original(n) for n in places.begin]
        places.end = [source.original(n - 1, after=True) for n in places.end]
    return places


def _put(
    places: _Places, shown: str, at: int, letters: str, begins: Sequence[int], ends: Sequence[int]
) -> int:
    """Note letters that are shown next; how far the shown text then is done."""
    begin = shown.find(letters, at)
    if begin < 0:
        return at
    for offset, (left, right) in enumerate(zip(begins, ends, strict=True)):
        if left >= 0:
            places.add(begin + offset, left, right)
    return begin + len(letters)


class _Source:
    """The source as the parser reads it: lines end with one letter."""

    def __init__(self, text: str) -> None:
        self.text = _LINE_END.sub("\n", text).replace("\0", "\ufffd")
        self.joined = [m.start() - n for n, m in enumerate(re.finditer(r"\r\n", text))]
        """where in ``self.text`` two letters of the given text became one"""
        self.starts = [0, *(m.end() for m in re.finditer("\n", self.text)), len(self.text)]
        self.done = 0
        """nothing before this place comes again"""

    def original(self, at: int, *, after: bool = False) -> int:
        """Where in the given text a letter stands, or where it ends."""
        return at + bisect_right(self.joined, at if after else at - 1) + after

    def block(self, token: Token, *, in_cell: bool = False) -> _Block:
        """A block's content with its places. Blocks must be asked for in their order."""
        if token.map is None:
            return _Block(token.content, [-1] * len(token.content))
        first, last = (self.starts[min(n, len(self.starts) - 1)] for n in token.map)
        if token.type == "fence":
            first = self.text.find("\n", first) + 1 or len(self.text)
        at = max(self.done, first)
        where: list[int] = []
        for line in token.content.split("\n"):
            here = self._line(line, at, last, in_cell=in_cell)
            at = max([at, *(n + 1 for n in here)])
            line_end = self.text.find("\n", at, last)
            where += [*here, line_end]
            at = at if in_cell or line_end < 0 else line_end + 1
        self.done = at
        return _Block(token.content, where[:-1])

    def _line(self, line: str, start: int, stop: int, *, in_cell: bool) -> Sequence[int]:
        """Where the letters of a block's line stand: at the end of the source line where it ends
        so, for what precedes it there may read the same (``2. 2``)."""
        end = self.text.find("\n", start, stop)
        here = self.text[start : end if end >= 0 else stop]
        if not in_cell and here.endswith(line):
            begin = start + len(here) - len(line)
        elif not in_cell and line.strip() and here.rstrip().endswith(line.rstrip()):
            begin = start + len(here.rstrip()) - len(line.rstrip())
        else:
            begin = self.text.find(line, start, stop)
        if begin < 0:
            return _near(line, self.text, start, stop)
        return range(begin, begin + len(line))


def _near(letters: str, text: str, start: int, stop: int) -> list[int]:
    """Letter by letter where a stretch is not found whole: the parser took something out of it."""
    where, at = [], start
    for letter in letters:
        found = text.find(letter, at, stop)
        if found >= 0:
            at = found + 1
        where.append(found)
    return where


def _leaves(tokens: Sequence[Token], block: _Block) -> list[tuple[str, list[int], list[int]]]:
    """What of a block is shown: letters, and of each where it begins and ends in the source."""
    found: list[tuple[str, list[int], list[int]]] = []
    at, in_autolink = 0, False
    for token in tokens:
        if token.type == "link_close" and not in_autolink:
            at = _after_address(block.content, block.content.find("]", at))
        elif token.type == "link_open":
            in_autolink = token.info == "auto"
            at = block.content.find("<" if in_autolink else "[", at) + 1
        elif token.type == "image":
            begin = block.content.find("![", at)
            at = _after_address(block.content, _label_end(block.content, begin + 1))
            name = image_name(token)
            found.append((name, *_whole(block, begin, at, len(name))))
        elif token.type == "text_special":
            begin = block.content.find(token.markup, at)
            at = begin + len(token.markup)
            found.append((token.content, *_whole(block, begin, at, len(token.content))))
        elif token.type in ("text", "code_inline", "math_inline") and token.content:
            at = _run(token, block, at, found)
    return found


def _run(
    token: Token, block: _Block, at: int, found: list[tuple[str, list[int], list[int]]]
) -> int:
    begin = block.content.find(token.content, at)
    if begin >= 0:
        here = list(range(begin, begin + len(token.content)))
    else:
        here = _near(token.content, block.content, at, len(block.content))
    begins, ends = list(here), [n + 1 for n in here]
    if token.type == "math_inline":
        _with_delimiters(token.markup, block.content, begins, ends)
    where = [block.where[n] if n >= 0 else -1 for n in begins]
    last = [block.where[n - 1] + 1 if n > 0 else 0 for n in ends]
    found.append((token.content, where, last))
    return max([at, *ends])


def _with_delimiters(opener: str, text: str, begins: list[int], ends: list[int]) -> None:
    """A formula's dollars or brackets go with its first and its last letter."""
    begin, end = text.rfind(opener, 0, begins[0]), text.find(CLOSERS[opener], ends[-1])
    if begins[0] >= 0 and begin >= 0 and not text[begin + len(opener) : begins[0]].strip():
        begins[0] = begin
    if begins[-1] >= 0 and end >= 0 and not text[ends[-1] : end].strip():
        ends[-1] = end + len(opener)


def _whole(block: _Block, begin: int, end: int, count: int) -> tuple[list[int], list[int]]:
    """Letters that stand for a stretch of the source as a whole."""
    where = [w for w in block.where[max(begin, 0) : end] if w >= 0]
    if begin < 0 or not where:
        return [-1] * count, [-1] * count
    return [where[0]] * count, [where[-1] + 1] * count


def _label_end(content: str, begin: int) -> int:
    """The bracket that closes the one at ``begin``."""
    depth, at = 0, begin
    while at < len(content):
        if content[at] == "\\":
            at += 1
        elif content[at] in "[]":
            depth += 1 if content[at] == "[" else -1
            if not depth:
                return at
        at += 1
    return len(content)


def _after_address(content: str, bracket: int) -> int:
    """Behind the address of a link whose label ends at ``bracket``."""
    at = bracket + 1
    if bracket < 0:
        return 0
    if content[at : at + 1] == "[":
        return content.find("]", at) + 1 or at
    if content[at : at + 1] != "(":
        return at
    at = _skip_space(content, at + 1)
    if (address := parseLinkDestination(content, at, len(content))).ok:
        at = address.pos
    at = _skip_space(content, at)
    if (title := parseLinkTitle(content, at, len(content))).ok:
        at = title.pos
    at = _skip_space(content, at)
    return at + 1 if content[at : at + 1] == ")" else bracket + 1


def _skip_space(content: str, at: int) -> int:
    while at < len(content) and content[at] in " \t\n":
        at += 1
    return at
