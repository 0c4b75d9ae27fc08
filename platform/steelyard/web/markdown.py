"""Markdown as people and models write it, to HTML that may stand on a page.

No Django here: ``annotation.spans`` reads the same tokens to tell which part of the source a marked
place of the page came from.

Raw HTML is shown as text; headings are set under those of the page; pictures of other places become
links, so that no answer can make a browser call somewhere. Formulas leave as their TeX source in
``<span class="math">`` and ``static/js/label/math.js`` sets them.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import (
    Comment,
    Generic,
    Keyword,
    Literal,
    Name,
    Number,
    Operator,
    String,
    _TokenType,
)
from pygments.util import ClassNotFound

LONGEST_FORMULA = 5_000
"""characters; what goes on longer without an end is no formula"""
LONGEST_HIGHLIGHT = 30_000
"""characters of one text's code that get colours; what is beyond stays plain"""

LONGEST_UNBROKEN = 200
"""letters without a blank; what a browser takes to break a longer run grows by its square"""

MOST_MARKS = 20_000
"""letters of a text that may begin a piece with a format of its own (half a second of ours, one of
a browser); what has more is shown as it was written"""
MOST_BLOCKS = 20_000
"""beginnings and ends of paragraphs, items, rows and cells, likewise"""

LANGUAGES = frozenset(
    """bash c c# c++ console cpp cs csharp css diff docker dockerfile go golang graphql haskell html
    ini java javascript js json jsx julia kotlin kt latex lua makefile matlab objective-c perl
    php powershell ps1 py python python3 r rb rs ruby rust scala scss sh shell shell-session sql
    swift tex toml ts tsx typescript xml yaml yml zsh""".split()  # noqa: SIM905
)
"""What may follow ``` and be coloured; every lexer is more code that reads strangers' text."""

_CLASSES: list[tuple[_TokenType, str]] = [
    (Comment, "tok-c"),
    (Keyword, "tok-k"),
    (Operator.Word, "tok-k"),
    (String, "tok-s"),
    (Number, "tok-m"),
    (Literal, "tok-m"),
    (Name.Function, "tok-f"),
    (Name.Class, "tok-f"),
    (Name.Tag, "tok-k"),
    (Name.Attribute, "tok-f"),
    (Name.Decorator, "tok-f"),
    (Name.Builtin, "tok-b"),
    (Generic.Deleted, "tok-del"),
    (Generic.Inserted, "tok-ins"),
    (Generic.Heading, "tok-c"),
    (Generic.Subheading, "tok-c"),
]

_ATTRIBUTES = {
    "*": {"dir"},
    "a": {"href", "title", "target", "class"},
    "span": {"class", "data-display"},
    "div": {"class", "tabindex"},
    "pre": {"data-language", "data-note"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
}
_TAGS = {
    *("a", "blockquote", "br", "code", "div", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol"),
    *("p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_LINE_END = re.compile(r"\r\n?")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TAG = re.compile(r'<[^>"]*(?:"[^"]*"[^>"]*)*>')
_BREAKS_ITSELF = (
    "\\u0e00-\\u0eff\\u1000-\\u11ff\\u1780-\\u17ff\\u2e80-\\ufdcf\\U0001f000-\\U0003ffff"
)
"""Scripts that are written without blanks, and emoji: their lines end by rules of their own."""
_TAG_OR_UNBROKEN = re.compile(
    rf"(?P<tag>{_TAG.pattern})|[^\s<{_BREAKS_ITSELF}]{{{LONGEST_UNBROKEN + 1},}}"
)
_MARK = re.compile(r"[*_`~\[\]<&$!\\]")
_SHOWN_LETTER = re.compile(r"&#?\w+;|.", re.DOTALL)


def render(text: str, *, top: int = 3, note: str = "") -> str:
    """Safe HTML of a Markdown text, or the source as it was written where nothing of it would be
    read (it is all markup, or nested too deep) or it has more markup than a page can bear.

    Args:
        text: any string; never raises.
        top: the level (2 to 6) of the highest heading, one below that of the section it stands in.
        note: that a text is shown without its formatting, in words; the style sheet shows them, so
            that they are no part of the text.
    """
    env: dict[str, Any] = {}
    tokens = _MARKDOWN.parse(_sound(text), env)
    _settle_headings(tokens, top)
    made = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    safe = nh3.clean(made, tags=_TAGS, attributes=_ATTRIBUTES, link_rel="noopener nofollow")
    if not _content(safe).strip() and (written := as_written(text)):
        why = f' data-note="{escapeHtml(note)}"' if note and "overfull" in env else ""
        plain = f'<pre dir="auto"{why}>{escapeHtml(written)}</pre>'
        safe = nh3.clean(plain, attributes=_ATTRIBUTES)
    return _TAG_OR_UNBROKEN.sub(_with_breaks, safe)


def _with_breaks(found: re.Match[str]) -> str:
    """A run without a blank with places where its line may end; its text content stays the same."""
    if found["tag"]:
        return found[0]
    parts: list[str] = []
    since = 0
    before = ""
    for letter in _SHOWN_LETTER.findall(found[0]):
        if since >= LONGEST_UNBROKEN and before != "\u200d" and not _joins(letter):
            parts.append("<wbr>")
            since = 0
        parts.append(letter)
        before, since = letter, since + 1
    return "".join(parts)


def _joins(letter: str) -> bool:
    """Whether it is part of the letter before: an accent, a sign that joins two."""
    return len(letter) == 1 and unicodedata.category(letter) in ("Mn", "Mc", "Me", "Cf")


def as_written(text: str) -> str:
    """The source as a page can show it, without the space around it."""
    return _LINE_END.sub("\n", _sound(text)).replace("\0", "\ufffd").strip()


def _sound(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text or "")


def parse(text: str) -> list[Token]:
    """The tokens that ``render`` writes, each block with the source lines it came from."""
    return _MARKDOWN.parse(_sound(text))


def shown_text(text: str) -> str:
    """The text content of ``render(text)``, as a browser's ``textContent`` gives it, a formula as
    its TeX source."""
    return _content(render(text))


def _content(made: str) -> str:
    return html.unescape(_TAG.sub("", made))


# ---- formulas ----

_CLOSERS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
CLOSERS = {**_CLOSERS, "$": "$"}
"""What ends a formula, by what begins it, which is its token's ``markup``."""
_MONEY = re.compile(r"\d[\d.,]*[kKmMbB]?\s+[A-Za-z]{2,}")
_FORMULA_SIGNS = re.compile(r"[\\^_=+*/<>|−-]|^\s*[A-Za-z]\s*$")


def _math_inline(state: StateInline, silent: bool) -> bool:
    """``\\(…\\)``, ``\\[…\\]``, ``$$…$$`` and ``$…$`` within a paragraph."""
    opener = state.src[state.pos : state.pos + 2]
    if opener in _CLOSERS:
        found = _between(state, opener, _CLOSERS[opener])
    elif opener.startswith("$"):
        found = _between_dollars(state)
    else:
        return False
    if found is None:
        return False
    content, after = found
    if not silent:
        token = state.push("math_inline", "span", 0)
        token.content = content.strip()
        token.markup = opener if opener in _CLOSERS else "$"
        token.meta["display"] = opener in ("$$", r"\[")
    state.pos = after
    return True


def _between(state: StateInline, opener: str, closer: str) -> tuple[str, int] | None:
    start = state.pos + 2
    end = state.src.find(closer, start, min(state.posMax, start + LONGEST_FORMULA))
    content = state.src[start:end]
    return (content, end + 2) if end >= 0 and _is_formula(opener, content) else None


def _is_formula(opener: str, content: str) -> bool:
    """Not so of brackets that somebody escaped: ``\\[citation needed\\]``."""
    return bool(_FORMULA_SIGNS.search(content) if opener == r"\[" else content.strip())


def _between_dollars(state: StateInline) -> tuple[str, int] | None:
    """Dollars hug a formula: no space within them, no letter or digit outside, so that prices stay
    prices."""
    src, start = state.src, state.pos + 1
    if start > 1 and (src[start - 2].isalnum() or src[start - 2] == "$"):
        return None
    limit = min(state.posMax, start + LONGEST_FORMULA)
    end = src.find("$", start, limit)
    while end > 0 and (end - start - len(src[start:end].rstrip("\\"))) % 2:
        end = src.find("$", end + 1, limit)
    content = src[start:end]
    if end < 0 or not content or content[0].isspace() or content[-1].isspace():
        return None
    if "`" in content or _MONEY.match(content):
        return None  # "$5 million (or 5M$)" is money
    after = src[end + 1 : end + 2]
    return None if after.isalnum() or after == "$" else (content, end + 1)


def _math_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """``$$`` or ``\\[`` that begins a line and whose end ends one. Blank lines may stand within
    where the opener has a line of its own."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    opener = state.src[begin : begin + 2]
    closer = {"$$": "$$", r"\[": r"\]"}.get(opener)
    if closer is None or state.is_code_block(start_line):
        return False
    first = state.src[begin + 2 : state.eMarks[start_line]].rstrip()
    last = _closing_line(state, start_line, end_line, first, closer)
    if last is None:
        return False
    if last == start_line:
        content = first[:-2]
    else:
        rest = state.getLines(start_line + 1, last + 1, state.blkIndent, False)
        content = f"{first}\n{rest.rstrip()[:-2]}"
    if not _is_formula(opener, content):
        return False
    if silent:
        return True
    token = state.push("math_block", "span", 0)
    token.content = content.strip()
    token.markup = opener
    token.map = [start_line, last + 1]
    state.line = last + 1
    return True


def _closing_line(
    state: StateBlock, start_line: int, end_line: int, first: str, closer: str
) -> int | None:
    if closer in first:
        return start_line if first.find(closer) == len(first) - 2 else None
    for line in range(start_line + 1, min(end_line, start_line + 100)):
        here = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        if here and state.sCount[line] < state.blkIndent:
            return None
        if not here and first:
            return None
        if closer in here:
            return line if here.find(closer) == len(here) - 2 else None
    return None


# ---- code ----


@cache
def _lexer(language: str) -> Lexer | None:
    try:
        return get_lexer_by_name(language)
    except ClassNotFound:
        return None


def highlight(code: str, language: str) -> str:
    """HTML of code whose text content is the code, to the letter."""
    lexer = _lexer(language) if language in LANGUAGES else None
    runs = list(_runs(lexer, code)) if lexer else []
    if "".join(part for _, part in runs) != code:  # a lexer that tidies line ends up
        return escapeHtml(code)
    return "".join(
        f'<span class="{name}">{escapeHtml(part)}</span>' if name else escapeHtml(part)
        for name, part in runs
    )


def _runs(lexer: Lexer, code: str) -> Iterator[tuple[str, str]]:
    """Stretches of code of one colour; neighbours of the same are one."""
    last = ""
    parts: list[str] = []
    for _, kind, part in lexer.get_tokens_unprocessed(code):
        name = _class_of(kind)
        if name != last and parts:
            yield last, "".join(parts)
            parts = []
        last = name
        parts.append(part)
    if parts:
        yield last, "".join(parts)


@cache
def _class_of(kind: _TokenType) -> str:
    return next((name for wide, name in _CLASSES if kind in wide), "")


# ---- writing ----


class _Renderer(RendererHTML):
    """What differs from plain Markdown. Every method is named after a kind of token."""

    def text_special(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return escapeHtml(tokens[idx].content)

    def math_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        display = ' data-display=""' if tokens[idx].meta["display"] else ""
        tex = escapeHtml(tokens[idx].content)
        return f'<span class="math" dir="ltr"{display}>{tex}</span>'

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        tex = escapeHtml(tokens[idx].content)
        return f'<p><span class="math" dir="ltr" data-display="">{tex}</span></p>\n'

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        language = (token.info.split() or [""])[0].lower()
        env["coloured"] = env.get("coloured", 0) + len(token.content)
        plain = env["coloured"] > LONGEST_HIGHLIGHT
        code = highlight(token.content, "" if plain else language)
        label = f' data-language="{escapeHtml(language)}"' if language in LANGUAGES else ""
        return f'<pre dir="ltr"{label}><code dir="ltr">{code}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        code = escapeHtml(tokens[idx].content)
        return f'<pre dir="ltr"><code dir="ltr">{code}</code></pre>\n'

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<code dir="ltr">{escapeHtml(tokens[idx].content)}</code>'

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        href = escapeHtml(str(tokens[idx].attrs.get("src", "")))
        name = escapeHtml(image_name(tokens[idx]))
        return f'<a class="picture" href="{href}" target="_blank">{name}</a>'

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        tokens[idx].attrSet("target", "_blank")  # what was labelled so far stays open
        return self.renderToken(tokens, idx, options, env)

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        start = '<div class="table-scroll" tabindex="0">'
        return start + self.renderToken(tokens, idx, options, env)

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.renderToken(tokens, idx, options, env) + "</div>\n"


def image_name(token: Token) -> str:
    """What a picture's link says: its alternative text, else its address."""
    return _alternative(token.children or []) or str(token.attrs.get("src", ""))


def _alternative(tokens: Sequence[Token]) -> str:
    return "".join(
        _alternative(t.children) if t.children else " " if t.type.endswith("break") else t.content
        for t in tokens
    ).strip()


def _settle_headings(tokens: list[Token], top: int) -> None:
    """Headings go down from ``top`` without leaving a level out."""
    level = top - 1
    for token in tokens:
        if token.type == "heading_open":
            level = min(int(token.tag[1]) + top - 1, level + 1, 6)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{level}"


def _direct(state: StateCore) -> None:
    """Each block of the outermost level reads in the direction of its own first letters; those
    within go along (``markdown.css`` lets each of their paragraphs find its own base direction).
    Columns keep their alignment as an attribute that the sanitiser lets through."""
    for token in state.tokens:
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")
        style = str(token.attrs.pop("style", ""))
        if style.startswith("text-align:"):
            token.attrSet("align", style.removeprefix("text-align:"))


def _measure(state: StateCore) -> None:
    """Of a text with too many pieces nothing is read."""
    marks = sum(len(_MARK.findall(t.content)) for t in state.tokens if t.type == "inline")
    if marks > MOST_MARKS or len(state.tokens) > MOST_BLOCKS:
        state.tokens.clear()
        state.env["overfull"] = True


def _make() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"breaks": True, "html": False}, renderer_cls=_Renderer)
    md.enable(["table", "strikethrough"])
    # escapes and entities stay tokens of their own, which know what they were written as
    md.core.ruler.disable("text_join")
    md.core.ruler.before("inline", "measure", _measure)
    md.core.ruler.push("direct", _direct)
    md.inline.ruler.before("escape", "math", _math_inline)
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    md.block.ruler.before("blockquote", "math", _math_block, {"alt": interrupts})
    return md


_MARKDOWN = _make()
