"""The keys that a person has set for the labelling page."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError

MOST_KEYS = 200
LONGEST = 60


@transaction.atomic
def save_label_keys(*, user: User, keys: Any) -> None:
    """Keep them in the person's preferences; an empty object is the keys as they come.

    Args:
        keys: {action: key}, both as the page names them.

    Raises:
        UserError: it is no such object, too large, or gives one key to two actions.
    """
    wrong = UserError(_("Keys are an object: the name of an action and its key."), field="keys")
    if not isinstance(keys, dict) or len(keys) > MOST_KEYS:
        raise wrong
    for word in [*keys, *keys.values()]:
        if not isinstance(word, str) or not 0 < len(word) <= LONGEST or not word.isprintable():
            raise wrong
    if len(set(keys.values())) < len(keys):
        raise UserError(_("One key cannot do two things."), code="key_taken", field="keys")
    locked = User.objects.select_for_update().get(pk=user.pk)
    locked.preferences = {**locked.preferences, "label_keys": keys}
    locked.save(update_fields=["preferences"])
