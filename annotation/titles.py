"""How runs are called that this room starts, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import Counted, Words

TITLES: dict[str, Words] = {
    "title_judge": Counted(
        "%(judge)s judges %(count)s pair", "%(judge)s judges %(count)s pairs", "count"
    ),
    "title_score": Counted(
        "%(judge)s scores %(count)s pair", "%(judge)s scores %(count)s pairs", "count"
    ),
    "title_explain": Counted(
        "%(judge)s explains %(count)s verdict", "%(judge)s explains %(count)s verdicts", "count"
    ),
    "title_check": "%(judge)s is checked for obedience to answers",
    "title_tune": "%(judge)s is tuned by people’s reasons",
    "title_freeze": "Freeze %(name)s",
    "title_import": "Import %(name)s",
    "title_export": "Export %(version)s as %(format)s",
}
