"""The form to start a sweep: the training form, with a range beside each setting to be searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.registry.models import ModelVersion
from training.engine.config import FormField
from training.engine.sweep_space import searchable, suggested
from training.forms import TrainingForm
from training.sweeps.measures import MAXIMIZE, MEASURES, MINIMIZE, measures_of
from training.sweeps.models import Keep, Sampler
from training.sweeps.services import (
    CRITERIA,
    FEWEST_SEEDS,
    MOST_AT_ONCE,
    MOST_SEEDS,
    MOST_TRIALS,
    TEST_RULE,
    TEST_SEEDS,
    TUNING_RULE,
    TUNING_SEEDS,
    judges_of,
)

OBJECTIVES = ("objective_1", "objective_2", "objective_3")
JUDGING = ("judge", "criteria")
BUDGET = ("sampler", "trials", "hours", "at_once", "prune")
HONESTY = ("tuning_count", "test_count", "split_held_out", "with_usual", "winners", "keep")
COUNTS = ("trials", "tuning_count", "test_count", "winners")
SEARCH = ("search", "low", "high", "log", "choices")
"""What stands beside a setting, as beginnings of field names."""


@dataclass(frozen=True)
class SettingRow:
    """A setting with its one value, and what it is searched over."""

    fixed: forms.BoundField
    search: forms.BoundField | None
    over: list[forms.BoundField]

    @property
    def is_searched(self) -> bool:
        return bool(self.search and self.search.value())


class SweepForm(TrainingForm):
    name = forms.CharField(max_length=120, label=_("Name of the sweep"))
    objective_1 = forms.ChoiceField(label=_("Aim at"))
    objective_2 = forms.ChoiceField(label=_("And at"), required=False)
    objective_3 = forms.ChoiceField(label=_("And at"), required=False)
    judge = forms.ModelChoiceField(
        ModelVersion.objects.none(),
        label=_("Judge"),
        required=False,
        empty_label="–",
        help_text=_("Who says whose answer is better, where the win rate is aimed at."),
    )
    criteria = forms.CharField(
        label=_("What the judge looks for"),
        required=False,
        initial=CRITERIA,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    sampler = forms.ChoiceField(
        label=_("Sampler"),
        choices=Sampler.choices,
        initial=Sampler.TPE.value,
        help_text=_(
            "Parzen estimators are quick and take any setting; a Gaussian process needs fewer "
            "trials where all settings are numbers, and seconds to think."
        ),
    )
    trials = forms.IntegerField(
        label=_("Trials"), initial=20, min_value=1, max_value=MOST_TRIALS, help_text=_("At most.")
    )
    hours = forms.FloatField(
        label=_("Hours of runs"),
        required=False,
        min_value=0,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=_("No trial begins after so many; the test of the winners is not counted."),
    )
    at_once = forms.IntegerField(
        label=_("Runs at once"), initial=1, min_value=1, max_value=MOST_AT_ONCE
    )
    tuning_count = forms.IntegerField(
        label=_("Tuning seeds of a trial"),
        initial=len(TUNING_SEEDS),
        min_value=FEWEST_SEEDS,
        max_value=MOST_SEEDS,
        help_text=TUNING_RULE,
    )
    test_count = forms.IntegerField(
        label=_("Test seeds of a winner"),
        initial=len(TEST_SEEDS),
        min_value=FEWEST_SEEDS,
        max_value=MOST_SEEDS,
        help_text=TEST_RULE,
    )
    split_held_out = forms.BooleanField(
        label=_("Tune on one half of the held-out prompts, test on the other"),
        required=False,
        initial=True,
    )
    with_usual = forms.BooleanField(
        label=_("Test the usual settings beside the winners"),
        required=False,
        initial=True,
        help_text=_("So that you see what searching was worth."),
    )
    winners = forms.IntegerField(
        label=_("Winners to test, with several aims"), initial=3, min_value=1, max_value=20
    )
    prune = forms.BooleanField(
        label=_("Stop trials early that are behind"),
        required=False,
        help_text=_(
            "Successive halving: at eval_every steps, and at three, nine… times as many, a trial "
            "goes on if it is among the best third so far. With one aim on held-out pairs."
        ),
    )
    keep = forms.ChoiceField(
        label=_("Models to keep"), choices=Keep.choices, initial=Keep.WINNERS.value
    )

    field_order = (
        *("name", "version", "base", "model_name"),
        *(*OBJECTIVES, *JUDGING, *BUDGET, *HONESTY),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["seed"]
        self.settings = [name for name in self.settings if name != "seed"]
        offered = _objectives(self.recipe)
        self.fields["objective_1"].choices = offered  # type: ignore[attr-defined]
        self.fields["objective_1"].initial = offered[0][0]
        for name in OBJECTIVES[1:]:
            self.fields[name].choices = [("", "–"), *offered]  # type: ignore[attr-defined]
        judge: Any = self.fields["judge"]
        judge.queryset = judges_of(self.project)
        self.searchable = {field.name: field for field in searchable(self.recipe)}
        for field in self.searchable.values():
            for name, made in _search_fields(field).items():
                self.fields[f"{name}_{field.name}"] = made

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if not self.errors and not self.searched:
            self.add_error(None, gettext("Tick at least one setting to be searched."))
        for name in self.searched:
            for part in ("low", "high", "choices"):
                key = f"{part}_{name}"
                if key in self.fields and key not in self.errors and data.get(key) in (None, ""):
                    self.add_error(key, gettext("This is needed to search the setting."))
        return data

    @property
    def searched(self) -> list[str]:
        return [name for name in self.searchable if self.cleaned_data.get(f"search_{name}")]

    @property
    def aims(self) -> list[forms.BoundField]:
        return [self[name] for name in (*OBJECTIVES, *JUDGING)]

    @property
    def budget(self) -> list[forms.BoundField]:
        return [self[name] for name in BUDGET]

    @property
    def honesty(self) -> list[forms.BoundField]:
        return [self[name] for name in HONESTY]

    @property
    def runs(self) -> dict[str, int]:
        """How many runs the form as it stands asks for, at most; ``sweep.js`` counts them anew."""
        asked = {name: _count(self[name].value()) for name in COUNTS}
        several = any(self[name].value() for name in OBJECTIVES[1:])
        tested = (asked["winners"] if several else 1) + bool(self["with_usual"].value())
        trials, tuning, test = (asked[n] for n in ("trials", "tuning_count", "test_count"))
        total = trials * tuning + tested * test
        return {"total": total, "trials": trials, "tuning": tuning, "tested": tested, "test": test}

    @property
    def usual_rows(self) -> list[SettingRow]:
        return [self._row(shown.field.name) for shown in self.main]

    @property
    def more_rows(self) -> list[tuple[str, list[SettingRow]]]:
        named = [(t, [s.field.name for s in group]) for t, group in self.more]
        return [(title, [self._row(name) for name in names]) for title, names in named]

    @property
    def more_is_open(self) -> bool:
        """An error or a setting that is searched must not hide."""
        rows = [row for _title, group in self.more_rows for row in group]
        return any(
            row.is_searched or row.fixed.errors or any(field.errors for field in row.over)
            for row in rows
        )

    def as_sweep(self) -> dict[str, Any]:
        """The keyword arguments of ``start_sweep``."""
        data = self.cleaned_data
        searched = self.searched
        aims = [data[name].split(":") for name in OBJECTIVES if data[name]]
        tests = TEST_SEEDS[0]
        return {
            **{name: data[name] for name in ("name", "version", "base", "model_name")},
            **{name: data[name] for name in (*BUDGET, *JUDGING)},
            **{name: data[name] for name in ("split_held_out", "with_usual", "winners", "keep")},
            "recipe": self.recipe,
            "settings": {name: data[name] for name in self.settings if name not in searched},
            "space": {name: self._dimension(name) for name in searched},
            "objectives": [{"measure": name, "direction": way} for name, way in aims],
            "tuning_seeds": list(range(1, data["tuning_count"] + 1)),
            "test_seeds": list(range(tests, tests + data["test_count"])),
        }

    def add_refusal(self, field: str | None, message: str) -> None:
        """A refusal of ``start_sweep`` beside the input that it speaks of."""
        if field in self.searchable and self.cleaned_data.get(f"search_{field}"):
            field = f"low_{field}" if f"low_{field}" in self.fields else f"choices_{field}"
        elsewhere = {
            "objectives": "objective_1",
            "tuning_seeds": "tuning_count",
            "test_seeds": "test_count",
        }
        field = elsewhere.get(field or "", field)
        self.add_error(field if field in self.fields else None, message)

    def _row(self, name: str) -> SettingRow:
        if name not in self.searchable:
            return SettingRow(self[name], None, [])
        over = [self[key] for part in SEARCH[1:] if (key := f"{part}_{name}") in self.fields]
        return SettingRow(self[name], self[f"search_{name}"], over)

    def _dimension(self, name: str) -> dict[str, Any]:
        data, field = self.cleaned_data, self.searchable[name]
        if f"low_{name}" in self.fields:
            return {part: data[f"{part}_{name}"] for part in ("low", "high", "log")}
        chosen = data[f"choices_{name}"]
        if field.choices:
            return {"choices": chosen}
        if field.type is bool:
            return {"choices": [word == "on" for word in chosen]}
        return {"choices": [word.strip() for word in chosen.split("|") if word.strip()]}


def _count(value: Any) -> int:
    """What stands in a field for a number, 0 where it is none or far too large."""
    word = str(value).strip()
    return int(word) if word.isascii() and word.isdecimal() and len(word) < 7 else 0


def _objectives(recipe: str) -> list[tuple[str, str]]:
    """Each measure in its usual direction; answers may be wanted longer as well."""
    made = [
        (f"{one.name}:{one.direction}", f"{one.label} ({_way(one.direction)})")
        for one in measures_of(recipe)
    ]
    if any(one.name == "output_length" for one in measures_of(recipe)):
        length = MEASURES["output_length"]
        made.append((f"{length.name}:{MAXIMIZE}", f"{length.label} ({_way(MAXIMIZE)})"))
    return made


def _way(direction: str) -> str:
    return gettext("lower is better") if direction == MINIMIZE else gettext("higher is better")


def _search_fields(field: FormField) -> dict[str, forms.Field]:
    """The tick and what is searched over, filled with what is usual."""
    offered = suggested(field)
    made: dict[str, forms.Field] = {
        "search": forms.BooleanField(required=False, label=gettext("Search this"))
    }
    if "low" in offered:
        number: Any = forms.IntegerField if field.type is int else forms.FloatField
        for part, label in (("low", gettext("From")), ("high", gettext("To"))):
            widget = forms.NumberInput(attrs={"step": "1" if field.type is int else "any"})
            made[part] = number(
                required=False,
                label=label,
                initial=offered[part],
                min_value=field.min,
                max_value=field.max,
                widget=widget,
            )
        made["log"] = forms.BooleanField(
            required=False, label=gettext("On a logarithmic scale"), initial=offered["log"]
        )
        return made
    words = list(field.choices) or (["off", "on"] if field.type is bool else [])
    if words:
        made["choices"] = forms.MultipleChoiceField(
            required=False,
            label=gettext("Of these"),
            choices=[(word, word) for word in words],
            initial=words,
            widget=forms.CheckboxSelectMultiple,
        )
    else:
        made["choices"] = forms.CharField(
            required=False,
            label=gettext("Of these, with | between them"),
            initial=str(field.default),
        )
    return made
