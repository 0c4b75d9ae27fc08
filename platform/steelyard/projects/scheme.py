"""The label scheme: what a verdict of a project consists of, checked."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality

CHOICES: dict[str, tuple[Any, ...]] = {
    "task": ("pair", "ranking"),
    "steps": (3, 5, 7),
    "evidence": ("off", "optional", "required"),
}
FLAGS = ("tie", "both_bad", "rationale_required", "correction", "segments")
NUMBERS = {"rationale_min": 5000}
"""Whole numbers from 0 to this."""
LISTS = {"tags": 40, "aspects": 40, "skip_reasons": 80, "flag_reasons": 80}
"""Lists of names, and how many letters one may have."""
KEYS = (*CHOICES, *FLAGS, *NUMBERS, *LISTS)
MAX_NAMES = 20
ONLY = {"correction": Modality.TEXT, "segments": Modality.VIDEO}
"""What can be had with one modality alone."""
OF_PAIRS = ("aspects", "both_bad", "correction", "segments")
"""What is said of two answers side by side: an order of several has no place for it."""
NONE_OF_PAIRS: dict[str, Any] = {"aspects": [], "correction": False, "segments": False}
"""What would be asked for and never taken, as a project of rankings has it. That both are bad
merely may be said, which is how projects come, and is left alone."""


def checked(scheme: dict[str, Any], modality: str) -> dict[str, Any]:
    """The label scheme, with its lists free of blanks and doubles.

    Raises:
        UserError: ``invalid_scheme`` for an unknown key or a value of a wrong kind; its field is
            ``label_scheme.KEY``.
    """
    clean = {key: _value(key, value) for key, value in scheme.items()}
    for key, needed in ONLY.items():
        if clean.get(key) and modality != needed:
            raise wrong(
                key,
                _("%(key)s is for %(needed)s projects; this one is of modality %(modality)s")
                % {"key": key, "needed": needed.value, "modality": modality},
            )
    if clean.get("task") == "ranking":
        _check_ranking(clean)
    if clean.get("flag_reasons") == []:
        raise wrong("flag_reasons", _("flag_reasons needs one reason at least, such as other"))
    return clean


def _check_ranking(clean: dict[str, Any]) -> None:
    """What would be asked for and never taken is refused."""
    for key in (key for key in NONE_OF_PAIRS if clean.get(key)):
        raise wrong(
            key,
            _("%(key)s goes with two answers side by side; a ranking has its order and its reasons")
            % {"key": key},
        )


def wrong(key: str, what: str, *, code: str = "invalid_scheme", status: int = 400) -> UserError:
    message = _("Label scheme: %(what)s.") % {"what": what}
    return UserError(message, code=code, status=status, field=f"label_scheme.{key}")


def _value(key: str, value: Any) -> Any:
    said = {"key": key, "value": repr(value)}
    if key in FLAGS:
        if not isinstance(value, bool):
            raise wrong(key, _("%(key)s must be true or false, not %(value)s") % said)
        return value
    if key in CHOICES:
        # a bool is an int to Python, and True == 1
        if isinstance(value, bool) or value not in CHOICES[key]:
            said["known"] = ", ".join(str(choice) for choice in CHOICES[key])
            raise wrong(key, _("%(key)s must be one of %(known)s, not %(value)s") % said)
        return value
    if key in NUMBERS:
        said["most"] = str(NUMBERS[key])
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= NUMBERS[key]:
            raise wrong(
                key, _("%(key)s must be a whole number from 0 to %(most)s, not %(value)s") % said
            )
        return value
    if key in LISTS:
        return _names(key, value)
    said["known"] = ", ".join(KEYS)
    raise wrong(key, _("%(key)s is no part of it; the parts are %(known)s") % said)


def _names(key: str, value: Any) -> list[str]:
    said = {"key": key, "most": MAX_NAMES, "letters": LISTS[key], "value": repr(value)}
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise wrong(key, _("%(key)s must be a list of words, not %(value)s") % said)
    names = list(dict.fromkeys(name.strip() for name in value if name.strip()))
    if len(names) > MAX_NAMES or any(len(name) > LISTS[key] for name in names):
        raise wrong(
            key, _("%(key)s takes at most %(most)s entries of %(letters)s letters each") % said
        )
    return names
