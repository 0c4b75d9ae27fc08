"""What is said of endpoints and of a judge's caps, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

WORDS = {
    "key_refused": "The endpoint %(url)s refuses the key (%(status)s %(said)s). Enter a key that "
    "is valid there for this model.",
    "no_answer": "The endpoint %(url)s gives no answer (%(trouble)s). Check that it runs, that the "
    "address is right and can be reached from the machine of the worker.",
    "unknown_model": "The endpoint %(url)s knows no model “%(model)s”, or the URL is not its base "
    "URL (404 %(said)s). It usually ends in /v1, and /v1/models lists the models.",
    "not_taken": "The endpoint %(url)s does not take the question (%(status)s %(said)s).",
    "not_asked": "The endpoint %(url)s is not asked: %(why)s.",
    "cannot_see": "%(model)s reads text alone and cannot be shown pictures and clips. Choose a "
    "vision-language model or an endpoint of one.",
    "cap_calls": "the cap of %(cap)s calls",
    "cap_tokens": "the cap of %(cap)s tokens",
    "cap_cost": "the cap of %(cap)s of money",
    "spent": "%(calls)s calls, %(tokens)s tokens and %(cost)s of money",
    "cap_reached": "Nothing more may be asked, for %(cap)s is reached: in all its runs together "
    "the judge has used %(spent)s. Raise the cap to go on.",
}
