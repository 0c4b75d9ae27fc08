"""What the engines say that ask judges, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import WORDS as OF_ENGINES
from steelyard.lib.said import Counted, Words

WORDS: dict[str, Words] = {
    **OF_ENGINES,
    "judged": "Pairs judged: %(judged)s; on %(contradictory)s of them the judge contradicted "
    "itself when the answers changed places. Pairs that could not be judged: %(invalid)s, that "
    "were not answered: %(failed)s.",
    "explained": "Reasons written: %(judged)s. Verdicts that could not be explained: %(invalid)s, "
    "that were not answered: %(failed)s.",
    "no_verdict": "Pair %(pair)s got no verdict: %(trouble)s",
    "no_reason": "Pair %(pair)s got no reason: %(trouble)s",
    "none_verdict": "No pair got a verdict. The last trouble: %(trouble)s",
    "none_reason": "No pair got a reason. The last trouble: %(trouble)s",
    "row_verdict": "%(row)s pairs in a row got no verdict, so the run was stopped; the verdicts "
    "before are kept: %(kept)s. The last trouble: %(trouble)s",
    "row_reason": "%(row)s pairs in a row got no reason, so the run was stopped; the reasons "
    "before are kept: %(kept)s. The last trouble: %(trouble)s",
    "left": "Pairs left: %(left)s, for %(cap)s is reached: in all its runs together the judge has "
    "used %(spent)s. Raise the cap and start another run to go on.",
    "search_left": "The search did not come to its end, for %(cap)s is reached: in all its runs "
    "together the judge has used %(spent)s. Raise the cap and tune the judge again: what was "
    "answered is known and costs nothing.",
    "at_start": "The criteria at the start agree with people in %(share)s %% of the validation "
    "pairs.",
    "text": "Text %(number)s agrees with people in %(share)s %% of the validation pairs.",
    "tested": "On %(pairs)s test pairs the criteria at the start agree with people in %(before)s "
    "%%, the best in %(after)s %%.",
    "gains": "Telling the judge to choose it gains an answer %(points)s points.",
    "check_left": "The check did not come to its end, for %(cap)s is reached: in all its runs "
    "together the judge has used %(spent)s. Raise the cap and check the judge again: what was "
    "answered is known and costs nothing.",
    "gains_unread": "What telling the judge to choose it gains an answer is not known: nothing "
    "could be read.",
    "scored": "Pairs scored by %(dimension)s: %(scored)s, that could not be: %(unreadable)s. "
    "Scores that were there from earlier runs: %(kept)s.",
    "scores_other": "%(name)s scores outputs of the kind %(scored)s; this project's are of the "
    "kind %(modality)s.",
    "no_dimension": "%(name)s has no dimension %(dimension)s; it has %(known)s.",
    "pair": "Pair %(pair)s: %(why)s",
    "judging_test": "judging the test pairs",
    "no_scorer": "The setting STEELYARD_SCORERS has no scorer called %(scorer)s any more.",
    "judging_pair": "judging pair %(first)s of %(of)s",
    "judging_pairs": "judging pairs %(first)s to %(last)s of %(of)s at once",
    "explaining": Counted("explaining %(n)s verdict", "explaining %(n)s verdicts at once", "n"),
}
