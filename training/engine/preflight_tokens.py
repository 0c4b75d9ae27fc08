"""What a preflight finds once rows are tokenised: what is cut, how a template stands, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from steelyard.lib.records import PreferenceRecord
from training.engine.data import DoesNotFit, Encoder, Example, preference
from training.engine.objectives import Objective
from training.engine.objectives.base import RowsOf
from training.engine.objectives.imitation import writers_of
from training.engine.preflight_words import NAMED, Finding, Level, Remedy

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
    whole: Example | None = None
    """What the objective reads of it with room for anything; None where it leaves the row out."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Which of the two answers are trained."""
        if self.whole is None or self.whole.names != ("answer",):
            return ("chosen", "rejected")
        return ("chosen",) if self.whole.rows[0].answers[0] == self.chosen else ("rejected",)

    @property
    def needed(self) -> int:
        """Tokens that max_length must be for all of it to fit."""
        return self.longest if self.whole is None else self.whole.length

    @property
    def row(self) -> tuple[int, str]:
        return self.number, self.record.pair

    @property
    def longest(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


def tokenised(
    records: Sequence[tuple[int, PreferenceRecord]],
    encoder: Encoder,
    rows: RowsOf = preference,
    config: Any = None,
) -> list[Tokens]:
    """
    Args:
        encoder: of the base, with room for anything.
        rows: what the recipe's objective makes of a record.

    Raises:
        UserError: the template refuses a prompt, or has no end of an answer; or what the objective
            refuses.
    """
    made = []
    for number, record in records:
        encoder.number, encoder.media = number, tuple(record.prompt_media)
        whole = rows(record, encoder, config)
        if whole is not None and whole.names[:2] == ("chosen", "rejected"):
            row = whole.rows[0]
        else:
            answers = {"chosen": record.chosen, "rejected": record.rejected}
            row = encoder.row(record.prompt, answers)
        chosen, rejected = row.answers[:2]
        made.append(Tokens(number, record, row.prompt, chosen, rejected, whole))
    return made


def trained_of(
    rows: Sequence[Tokens], encoder: Encoder, objective: Objective, config: Any
) -> tuple[dict[int, Example], dict[int, str]]:
    """The rows as they are trained, by their numbers; and why others are not: ``too_long``, or what
    the encoder counted.

    Args:
        encoder: with the room that the run has.
    """
    made: dict[int, Example] = {}
    lost: dict[int, str] = {}
    for row in rows:
        if row.whole is not None and row.whole.length <= encoder.max_length:
            made[row.number] = row.whole
            continue
        encoder.number, encoder.media = row.number, tuple(row.record.prompt_media)
        before = Counter(encoder.counts)
        try:
            example = objective.rows(row.record, encoder, config)
        except DoesNotFit:
            lost[row.number] = "too_long"
            continue
        if example is not None:
            made[row.number] = example
        else:
            counted = encoder.counts - before
            lost[row.number] = next((n for n in counted if n.startswith("dropped_")), "dropped")
    return made, lost


def length_findings(
    rows: Sequence[Tokens],
    *,
    encoder: Encoder,
    context: int | None,
    objective: Objective,
    config: Any,
) -> tuple[list[Finding], list[Tokens], list[Example]]:
    """Findings; the rows that are left, cut as they are trained; and of those to train on what the
    objective makes of them.

    Args:
        encoder: with the room that the run has.
    """
    limit, drop = encoder.max_length, config.drop_too_long
    found = []
    if limit < config.max_length:
        values = {"context": limit, "asked": config.max_length}
        remedy = Remedy("to_context", {"max_length": limit}, str(limit))
        found.append(Finding("context", "look", values, (), (remedy,)))
    made, lost = trained_of(rows, encoder, objective, config)
    whole = max((row.needed for row in rows), default=0)
    room = min(-(-whole // 64) * 64, context or whole + 64)
    longer = Remedy("max_length", {"max_length": room}, str(room)) if room > limit else None
    remedies = (longer,) if longer else ()
    too_long = [row for row in rows if lost.get(row.number) == "too_long"]
    if too_long:
        found.append(_too_long(too_long, limit, drop, longer))
    short = [row.row for row in rows if row.record.split == "train" and _bare(row, made)]
    if short:
        values = {"count": len(short), "max_length": limit}
        found.append(Finding("reason_too_long", "look", values, tuple(short), remedies))
    same = [row.row for row in rows if lost.get(row.number) == "dropped_identical"]
    fitting = [row for row in rows if lost.get(row.number) in {None, "dropped_identical"}]
    cuts = _cuts(fitting, limit, longer)
    if cuts:
        found += cuts
    elif made and not too_long and not short:
        # of what is trained only: a row that is left out for another reason is not spoken of
        longest = max(example.length for example in made.values())
        values = {"longest": longest, "max_length": limit}
        found.append(Finding("nothing_cut", "fine", values))
    if same:
        found.append(Finding("identical", "look", {"count": len(same)}, tuple(same)))
    found += _left_out(rows, lost, config)
    left = [_cut(row, limit) for row in rows if row.number in made]
    train = [made[row.number] for row in left if row.record.split == "train"]
    if not train:
        found.append(_nothing_left(rows, lost, limit, remedies, config))
    elif all(example.tie for example in train):
        found.append(Finding("only_ties", "stop", {"count": len(train)}))
    if objective.arrange is not None and train:
        train = objective.arrange(train, config, Counter(), test=False)
    return found, left, train


def _too_long(rows: list[Tokens], limit: int, drop: bool, longer: Remedy | None) -> Finding:
    by_prompt = all(len(row.prompt) >= limit for row in rows)
    longest = max(len(row.prompt) if by_prompt else row.needed for row in rows)
    values = {"count": len(rows), "max_length": limit, "longest": longest}
    remedies = [] if drop else [Remedy("drop_too_long", {"drop_too_long": True})]
    remedies += [longer] if longer else []
    code = "prompt_too_long" if by_prompt else "context_too_long"
    if drop:
        code = "dropped_too_long"
    named = tuple(row.row for row in rows)
    return Finding(code, "look" if drop else "stop", values, named, tuple(remedies))


def _bare(row: Tokens, made: dict[int, Example]) -> bool:
    """Whether it is trained without a part that it has: with drop_too_long, a reason."""
    example = made.get(row.number)
    return example is not None and row.whole is not None and example.names != row.whole.names


def _nothing_left(
    rows: Sequence[Tokens],
    lost: dict[int, str],
    limit: int,
    longer: tuple[Remedy, ...],
    config: Any,
) -> Finding:
    train = [row for row in rows if row.record.split == "train"]
    why = Counter(lost[row.number] for row in train if row.number in lost)
    values = {
        "rows": len(rows),
        "max_length": limit,
        "test": len(rows) - len(train),
        "too_long": why["too_long"],
        "same": why["dropped_identical"],
        "ties": why["dropped_tie"],
        "writer": why["dropped_other_writer"],
    }
    remedies = list(longer) if why["too_long"] or why["dropped_identical"] else []
    if why["dropped_identical"] and not remedies:
        remedies.append(Remedy("other_answers"))
    if not train:
        remedies.append(Remedy("more_prompts"))
    remedies += _advice(train, why, config) or ([] if remedies else [Remedy("more_rows")])
    return Finding("nothing_left", "stop", values, (), tuple(remedies))


def _advice(rows: Sequence[Tokens], why: Counter[str], config: Any) -> list[Remedy]:
    without = why["dropped_tie"] or why["dropped_both_bad"]
    found = [Remedy("more_wins")] if without else []
    if why["dropped_other_writer"]:
        names = [n for n in writers_of(row.record for row in rows) if n != config.written_by]
        found.append(Remedy("written_by", {}, ", ".join(names[:NAMED])))
    return found


_TOLD_ELSEWHERE = {None, "too_long", "dropped_identical", "dropped_both_bad"}


def _left_out(rows: Sequence[Tokens], lost: dict[int, str], config: Any) -> list[Finding]:
    other = [row for row in rows if lost.get(row.number) not in _TOLD_ELSEWHERE]
    if not other:
        return []
    why = Counter(lost[row.number] for row in other)
    values = {
        "count": len(other),
        "ties": why["dropped_tie"],
        "writer": why["dropped_other_writer"],
    }
    remedies = _advice(rows, why, config) or [Remedy("more_rows")]
    named = tuple(row.row for row in other)
    return [Finding("left_out", "look", values, named, tuple(remedies))]


def _cuts(rows: Sequence[Tokens], limit: int, longer: Remedy | None) -> list[Finding]:
    remedies = (longer,) if longer else ()
    sides = sorted({side for row in rows for side in row.sides})
    lost = {side: [_lost(row, side, limit) for row in rows] for side in sides}
    counts = {side: sum(one > 0 for one in lost[side]) for side in sides}
    if not any(counts.values()):
        return []
    share = {
        side: sum(lost[side]) / max(1, sum(len(getattr(row, side)) for row in rows))
        for side in sides
    }
    named = tuple(row.row for at, row in enumerate(rows) if any(lost[side][at] for side in sides))
    level: Level = "look" if sum(counts.values()) > 0.01 * len(sides) * len(rows) else "fine"
    values: dict[str, Any]
    if len(rows[0].sides) == 1:
        answers = sum(len(getattr(row, side)) for row in rows for side in row.sides)
        gone = sum(map(sum, lost.values()))
        values = {"count": len(named), "rows": len(rows), "lost": gone}
        values["share"] = f"{100 * gone / max(1, answers):.1f}"
        return [Finding("cut_answer", level, values, named, remedies)]
    values = {**counts, "rows": len(rows)}
    for side in sides:
        values[f"lost_{side}"] = sum(lost[side])
        values[f"share_{side}"] = f"{100 * share[side]:.1f}"
    found = [Finding("cut", level, values, named, remedies)]
    high, low = max(share.values()), min(share.values())
    if high > 0.01 and high > 1.5 * low:
        side = max(share, key=lambda one: share[one])
        uneven = {"side": side, "more": f"{100 * high:.1f}", "less": f"{100 * low:.1f}"}
        found.append(Finding("cut_uneven", "look", uneven, (), remedies))
    return found


def _lost(row: Tokens, side: str, limit: int) -> int:
    return max(0, len(row.prompt) + len(getattr(row, side)) - limit) if side in row.sides else 0


def _cut(row: Tokens, limit: int) -> Tokens:
    room = limit - len(row.prompt)
    return replace(row, chosen=row.chosen[:room], rejected=row.rejected[:room])


def template_findings(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    """Whether the model's template stands around the rows as it should."""
    found = []
    bos = tokenizer.bos_token_id
    twice = [row.row for row in rows if bos is not None and row.prompt[:2] == [bos, bos]]
    if twice:
        values = {"token": tokenizer.bos_token, "count": len(twice), "rows": len(rows)}
        found.append(Finding("doubled_bos", "stop", values, tuple(twice)))
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
    return [Finding("doubled_template", "look", values, tuple(hit))] if hit else []


def _system(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    without = sum(all(m.get("role") != "system" for m in row.record.prompt) for row in rows)
    probe = "steelyard-probe"
    messages = [{"role": "user", "content": probe}]
    try:
        rendered = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except (TemplateError, ValueError, TypeError):
        return []  # it takes no message alone, and took the rows' own
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
        return [Finding("boundary_differs", "look", values, tuple(other))]
    return [Finding("boundary", "fine", values)]


def _back(rows: Sequence[Tokens], tokenizer: PreTrainedTokenizerBase) -> list[Finding]:
    changed = []
    for row in rows:
        ids = tokenizer(row.record.chosen, add_special_tokens=False, split_special_tokens=True)
        told = tokenizer.decode(ids["input_ids"], clean_up_tokenization_spaces=False)
        if told != row.record.chosen:
            changed.append(row.row)
    values = {"count": len(changed), "rows": len(rows)}
    named = tuple(changed)
    return [Finding("not_decoded_back", "look", values, named)] if changed else []


def bias_findings(rows: Sequence[Tokens], recipe: str, settings: dict[str, Any]) -> list[Finding]:
    """Is the longer answer the better one here? Both intervals by 95 %, clustered by prompt."""
    won = [row for row in rows if row.record.won and row.record.split == "train"]
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
    remedies.append(Remedy("judged_length"))
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
