"""Which words of an answer say what there is to see, and how alike two answers are: by rule."""

from __future__ import annotations

import re
from collections import Counter

MASK = "[MASK]"
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SMALL = """
a about above across after again against all along already also although always am among an and
any are around as at away be became because been before behind being below beneath beside between
beyond both but by can cannot come could did do does doing down during each either else enough
even ever every few for from further get given go goes had has have having he her here hers
herself him himself his how however i if in inside instead into is isn't it its it's itself just
later least less let like likely made make many may maybe me might mine more most much must my
myself near neither never no nor not nothing now of off often on once one only onto or other
others our ours out outside over own perhaps possibly probably quite rather really said same seem
seems several shall she should since so some something somewhat soon still such than that the
their them themselves then there these they this those though through thus to together too toward
towards under until up upon us very was wasn't we well were what when where whether which while
who whole whom whose why will with within without would yes yet you your yours yourself answer
appear appears can't describe describes image photo picture show shown shows visible
"""
_FUNCTION = frozenset(_SMALL.split())


def masked(text: str, *, spared: str = "") -> str:
    """The answer with its words about objects, properties and relations covered.

    Every word is covered that is no English function word and does not stand in ``spared``, the
    question; words that follow one another become one mask.
    """
    known = _FUNCTION | {word.casefold() for word in _WORD.findall(spared)}
    parts, last = [], 0
    for match in _WORD.finditer(text):
        if match.group().casefold() in known:
            continue
        parts += [text[last : match.start()], MASK]
        last = match.end()
    covered = "".join([*parts, text[last:]])
    return re.sub(rf"{re.escape(MASK)}(?:\s+{re.escape(MASK)})+", MASK, covered)


def shared_words(one: str, other: str) -> float:
    """Dice's share of words that both texts have, each as often as it stands there, 0 to 1."""
    first, second = (Counter(w.casefold() for w in _WORD.findall(text)) for text in (one, other))
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0
