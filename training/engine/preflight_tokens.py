"""What a preflight finds once rows are tokenised: what is cut, how a template stands, lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from steelyard.lib.records import PreferenceRecord
from training.engine.data import Encoder
from training.engine.preflight_words import Finding, Remedy

NAMED = 10
LOOKED_AT = 200
"""Rows of which the template's own rendering is compared."""
SHOWN = 2
HEAD, TAIL = 60, 40
"""Tokens of a long sequence that a preview shows at its start and at its end."""
DRAWS = 400
_MARKS = ("[INST]", "<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "<|user|>")


@dataclass(frozen=True)
class Tokens:
    """One record, tokenised."""

    number: int
    record: PreferenceRecord
    prompt: list[int]
    chosen: list[int]
    """With the end-of-turn token."""
    rejected: list[int]

    @property
    def row(self) -> tuple[int, str]:
        return self.number, self.record.pair

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def total(self) -> int:
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


def tokenised(records: Sequence[tuple[int, PreferenceRecord]], encoder: Encoder) -> list[Tokens]:
    """
    Args:
        encoder: of the base, with room for anything.

    Raises:
        UserError: the template refuses a prompt, or has no end of an answer.
    """
    made = []
    for number, record in records:
        encoder.number, encoder.media = number, tuple(record.prompt_media)
        answers = {"chosen": record.chosen, "rejected": record.rejected}
        row = encoder.row(record.prompt, answers)
        made.append(Tokens(number, record, row.prompt, *row.answers))
    return made


def length_findings(
    rows: Sequence[Tokens], *, asked: int, context: int | None, drop: bool, settings: dict[str, Any]
) -> tuple[list[Finding], list[Tokens]]:
    """Findings, and the rows that are left, as long as they are trained."""
    limit = min(asked, context or asked)
    found = []
    if limit < asked:
        found.append(Finding("context", "look", {"context": limit, "asked": asked}))
    whole = max((row.longest for row in rows), default=0)
    room = min(-(-whole // 64) * 64, context or whole + 64)
    longer = Remedy("max_length", {"max_length": room}, str(room)) if room > limit else None
    too_long = [row for row in rows if len(row.prompt) >= limit]
    if too_long:
        values = {
            "count": len(too_long),
            "max_length": limit,
            "longest": max(len(row.prompt) for row in too_long),
        }
        named = tuple(row.row for row in too_long[:NAMED])
        remedies = [] if drop else [Remedy("drop_too_long", {"drop_too_long": True})]
        remedies += [longer] if longer else []
        code, level = ("dropped_too_long", "look") if drop else ("prompt_too_long", "stop")
        found.append(Finding(code, level, values, named, tuple(remedies)))  # type: ignore[arg-type]
    fitting = [row for row in rows if len(row.prompt) < limit]
    found += _cuts(fitting, limit, whole, longer)
    cut = [_cut(row, limit) for row in fitting]
    same = [row for row in cut if row.chosen == row.rejected]
    if same:
        named = tuple(row.row for row in same[:NAMED])
        found.append(Finding("identical", "look", {"count": len(same)}, named))
    left = [row for row in cut if row.chosen != row.rejected]
    if not any(row.record.split == "train" for row in left):
        values = {"rows": len(rows), "max_length": limit}
        remedy = (longer,) if longer else ()
        found.append(Finding("nothing_left", "stop", values, (), remedy))
    return found, left


def _cuts(rows: Sequence[Tokens], limit: int, whole: int, longer: Remedy | None) -> list[Finding]:
    lost = {side: [_lost(row, side, limit) for row in rows] for side in ("chosen", "rejected")}
    counts = {side: sum(one > 0 for one in lost[side]) for side in lost}
    if not any(counts.values()):
        return [Finding("nothing_cut", "fine", {"longest": whole, "max_length": limit})]
    share = {
        side: sum(lost[side]) / max(1, sum(len(getattr(row, side)) for row in rows))
        for side in lost
    }
    named = [row.row for place, row in enumerate(rows) if any(lost[side][place] for side in lost)]
    values: dict[str, Any] = {**counts, "rows": len(rows)}
    for side in lost:
        values[f"lost_{side}"] = sum(lost[side])
        values[f"share_{side}"] = f"{100 * share[side]:.1f}"
    remedies = (longer,) if longer else ()
    level = "look" if sum(counts.values()) > 0.01 * 2 * len(rows) else "fine"
    found = [Finding("cut", level, values, tuple(named[:NAMED]), remedies)]  # type: ignore[arg-type]
    high, low = max(share.values()), min(share.values())
    if high > 0.01 and high > 1.5 * low:
        side = max(share, key=lambda one: share[one])
        uneven = {"side": side, "more": f"{100 * high:.1f}", "less": f"{100 * low:.1f}"}
        found.append(Finding("cut_uneven", "look", uneven, (), remedies))
    return found


def _lost(row: Tokens, side: str, limit: int) -> int:
    return max(0, len(row.prompt) + len(getattr(row, side)) - limit)


def _cut(row: Tokens, limit: int) -> Tokens:
    room = limit - len(row.prompt)
    return Tokens(row.number, row.record, row.prompt, row.chosen[:room], row.rejected[:room])


def template_findings(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    """Whether the model's template stands around the rows as it should."""
    found = []
    bos = tokenizer.bos_token_id
    twice = [row.row for row in rows if bos is not None and row.prompt[:2] == [bos, bos]]
    if twice:
        values = {"token": tokenizer.bos_token, "count": len(twice), "rows": len(rows)}
        found.append(Finding("doubled_bos", "stop", values, tuple(twice[:NAMED])))
    found += _marks(rows, tokenizer)
    words = [row for row in rows if not row.record.prompt_media]
    if not words or not tokenizer.chat_template:
        return found
    found += _system(words, tokenizer)
    if "strftime_now" in str(tokenizer.chat_template):
        found.append(Finding("dated_template", "look"))
    return found + _boundaries(words[:LOOKED_AT], tokenizer) + _back(words[:LOOKED_AT], tokenizer)


def _marks(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    special = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    marks = sorted({mark for mark in special if len(mark) > 2} | set(_MARKS))
    hit, first = [], ""
    for row in rows:
        words = [str(message.get("content", "")) for message in row.record.prompt]
        text = "\n".join([*words, row.record.chosen, row.record.rejected])
        mark = next((mark for mark in marks if mark in text), "")
        if mark:
            hit.append(row.row)
            first = first or mark
    values = {"count": len(hit), "token": first}
    return [Finding("doubled_template", "look", values, tuple(hit[:NAMED]))] if hit else []


def _system(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    without = sum(all(m.get("role") != "system" for m in row.record.prompt) for row in rows)
    probe = "steelyard-probe"
    messages = [{"role": "user", "content": probe}]
    rendered = str(tokenizer.apply_chat_template(messages, tokenize=False))
    said = rendered.partition(probe)[0]
    for token in {str(t) for t in tokenizer.added_tokens_decoder.values()}:
        said = said.replace(token, " ")
    words = [word for word in said.split() if word not in {"system", "user", "assistant"}]
    if not without or len(words) < 3:
        return []
    text = " ".join(words)
    values = {"count": without, "rows": len(rows), "text": text[:200]}
    return [Finding("default_system", "look", values)]


def _boundaries(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    """Does the template write what is trained? Asked of whole chats, rendered by it."""
    other = []
    for row in rows:
        messages = [dict(message) for message in row.record.prompt]
        answer = {"role": "assistant", "content": row.record.chosen}
        before = str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
        try:
            whole = str(tokenizer.apply_chat_template([*messages, answer], tokenize=False))
        except (TemplateError, ValueError, TypeError):
            whole = ""
        if not whole.startswith(before + row.record.chosen):
            other.append(row.row)
    values = {"same": len(rows) - len(other), "count": len(other), "rows": len(rows)}
    if other:
        return [Finding("boundary_differs", "look", values, tuple(other[:NAMED]))]
    return [Finding("boundary", "fine", values)]


def _back(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    changed = []
    for row in rows:
        ids = tokenizer(row.record.chosen, add_special_tokens=False, split_special_tokens=True)
        told = tokenizer.decode(ids["input_ids"], clean_up_tokenization_spaces=False)
        if told != row.record.chosen:
            changed.append(row.row)
    values = {"count": len(changed), "rows": len(rows)}
    named = tuple(changed[:NAMED])
    return [Finding("not_decoded_back", "look", values, named)] if changed else []


def bias_findings(rows: Sequence[Tokens], recipe: str, settings: dict[str, Any]) -> list[Finding]:
    """Is the longer answer the better one here? Both intervals by 95 %, clustered by prompt."""
    won = [row for row in rows if row.record.outcome != "tie" and row.record.split == "train"]
    if len(won) < 2:
        return []
    difference = np.array([len(row.chosen) - len(row.rejected) for row in won], float)
    longer = np.where(difference == 0, 0.5, difference > 0)
    keys = [row.record.prompt_key for row in won]
    _, prompt = np.unique(np.array(keys), return_inverse=True)
    share, low, high = share_and_interval(longer, prompt)
    middle = np.quantile(difference, 0.5)
    ends = median_interval(difference, prompt)
    values = {
        "share": f"{100 * share:.0f}",
        "low": f"{100 * low:.0f}",
        "high": f"{100 * high:.0f}",
        "pairs": len(won),
        "median": f"{middle:+.0f}",
        "median_low": f"{ends[0]:+.0f}",
        "median_high": f"{ends[1]:+.0f}",
    }
    if not (low > 0.55 or high < 0.45):
        return [Finding("length_bias", "fine", values)]
    remedies = []
    # what counts the longer answer's last tokens for less helps where longer ones win
    if low > 0.55 and settings.get("ld_alpha") == 1.0:
        remedies.append(Remedy("ld_alpha", {"ld_alpha": 0.5}, "0.5"))
    if recipe == "dpo":  # others learn something that simpo would not
        remedies.append(Remedy("normalise"))
    return [Finding("length_bias", "look", values, (), tuple(remedies))]


def share_and_interval(values: np.ndarray, cluster: np.ndarray) -> tuple[float, float, float]:
    """A mean with its 95 % interval, by the sandwich over clusters; of one cluster 0 to 1.

    Args:
        values: (n,), 0 to 1.
        cluster: (n,), numbers from 0.
    """
    mean = float(values.mean())
    sums = np.bincount(cluster, values - mean)
    groups = len(sums)
    if groups < 2:
        return mean, 0.0, 1.0
    error = float(np.sqrt((sums**2).sum() * groups / (groups - 1))) / len(values)
    # where all agree nothing varies, and a rule of three bounds what was not seen
    error = max(error, 3 / groups / 1.96 if mean in (0.0, 1.0) else 0.0)
    return mean, max(0.0, mean - 1.96 * error), min(1.0, mean + 1.96 * error)


def median_interval(values: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """The median's 95 % interval by drawing whole clusters again."""
    order = np.argsort(cluster, kind="stable")
    parts = np.split(values[order], np.flatnonzero(np.diff(cluster[order])) + 1)
    draw = np.random.default_rng(0)
    medians = [
        np.median(np.concatenate([parts[i] for i in draw.integers(0, len(parts), len(parts))]))
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(low), float(high)


def preview(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """The first rows token by token, as the model reads them: prompt | answer."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}

    def told(ids: list[int]) -> list[dict[str, Any]]:
        cut = len(ids) > HEAD + TAIL
        kept = [*ids[:HEAD], None, *ids[-TAIL:]] if cut else ids
        return [
            {"text": f"… {len(ids) - HEAD - TAIL} …", "special": False, "left_out": True}
            if i is None
            else {"text": _token(tokenizer, i), "special": i in special, "left_out": False}
            for i in kept
        ]

    return [
        {
            "number": row.number,
            "pair": row.record.pair,
            "prompt": told(row.prompt),
            "chosen": told(row.chosen),
            "rejected": told(row.rejected),
            "tokens": {side: len(getattr(row, side)) for side in ("prompt", "chosen", "rejected")},
        }
        for row in rows[:SHOWN]
    ]


def _token(tokenizer: PreTrainedTokenizerBase, i: int) -> str:
    return str(tokenizer.decode([i], clean_up_tokenization_spaces=False))
