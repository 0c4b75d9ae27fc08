"""Chat messages as a model that takes one line of text is asked."""

from __future__ import annotations

from collections.abc import Sequence

from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said


def picture_prompt(messages: Sequence[dict[str, str]]) -> str:
    """The last thing the user said: what a picture or clip is to show.

    Raises:
        UserError: ``no_prompt``: there is no message of a user.
    """
    for message in reversed(messages):
        if message["role"] == "user":
            return message["content"].strip()
    raise UserError(
        Said(WORDS, "no_picture_words"),
        code="no_prompt",
    )
