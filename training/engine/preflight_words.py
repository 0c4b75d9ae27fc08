"""What a preflight says, by code: a title, a text and its remedies, filled in with numbers.

English, as all that engines say; pages translate the sentences before they fill them in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from steelyard.lib.said import coded

NAMED = 10
"""So many rows of a finding are named, of the others it is told how many there are."""
Level = Literal["fine", "look", "stop"]

WORDS: dict[str, tuple[str, str]] = {
    "rows": (
        "Rows to learn from",
        "%(train)s rows to train on, %(test)s to test with; ties among all of them: %(ties)s.",
    ),
    "few_rows": (
        "Few rows",
        "%(train)s rows teach little beyond themselves. Expect a try-out, not a better "
        "model; a few hundred is a start.",
    ),
    "no_test_rows": (
        "Nothing to test with",
        "No row is in the test split, so nothing will tell whether the model has learnt more than "
        "these rows by heart. Freeze a version with a test share of 0.1 or more.",
    ),
    "bad_rows": ("The rows cannot be used", "%(message)s"),
    "bad_base": ("The base model cannot be used", "%(message)s"),
    "broken_weights": (
        "The base model lacks weights",
        "Weights that its files do not hold: %(count)s, %(first)s among them.",
    ),
    "nothing_to_train": (
        "The model has nothing of what is to be trained",
        "This model has no weights that train %(trained)s would train.",
    ),
    "prompt_too_long": (
        "Prompts that fill the whole length",
        "Prompts that leave no room for an answer within %(max_length)s tokens: %(count)s. The "
        "longest has %(longest)s tokens.",
    ),
    "dropped_too_long": (
        "Rows left out for their length",
        "Rows left out, since their prompt leaves no room for an answer within %(max_length)s "
        "tokens: %(count)s.",
    ),
    "context_too_long": (
        "Rows that are too long for what this recipe asks",
        "Besides prompt and answer this recipe trains on longer questions, which hold the answers "
        "themselves. Rows that do not fit within %(max_length)s tokens: %(count)s. The longest "
        "needs %(longest)s tokens.",
    ),
    "reason_too_long": (
        "Reasons left out for their length",
        "Rows to train on that go without their reason, since the question with both answers and "
        "the reason is longer than %(max_length)s tokens: %(count)s.",
    ),
    "left_out": (
        "Rows that this recipe leaves out",
        "Rows left out: %(count)s. Ties among them: %(ties)s; without an answer by the model that "
        "written_by names: %(writer)s.",
    ),
    "only_ties": (
        "Nothing but ties is left",
        "All %(count)s rows that are left to train on are ties, so there is nothing to learn.",
    ),
    "cut_answer": (
        "Answers cut at their end",
        "%(count)s of %(rows)s answers are longer than there is room for. Lost: %(lost)s tokens "
        "(%(share)s %%).",
    ),
    "cut": (
        "Answers cut at their end",
        "%(chosen)s chosen and %(rejected)s rejected answers of %(rows)s rows are longer than "
        "there is room for. Lost: %(lost_chosen)s tokens of chosen answers (%(share_chosen)s %%) "
        "and %(lost_rejected)s of rejected ones (%(share_rejected)s %%).",
    ),
    "cut_uneven": (
        "Cutting hits one side",
        "Answers of one side (%(side)s) lose %(more)s %% of their tokens, those of the other "
        "%(less)s %%: the model would learn that difference too.",
    ),
    "nothing_cut": (
        "Everything fits",
        "The longest row has %(longest)s tokens of %(max_length)s; no answer is cut.",
    ),
    "context": (
        "max_length is more than the model's context",
        "The model was made for %(context)s tokens; max_length %(asked)s counts as %(context)s.",
    ),
    "identical": (
        "Two answers that are the same",
        "Rows left out, since their answers are equal, from the start or once cut: %(count)s.",
    ),
    "nothing_left": (
        "No row is left",
        "Of %(rows)s rows none is left to train on. In the test split: %(test)s. Of the others, "
        "too long for %(max_length)s tokens: %(too_long)s; with two answers that are the same: "
        "%(same)s; ties that this recipe leaves out: %(ties)s; without an answer by the model that "
        "written_by names: %(writer)s.",
    ),
    "doubled_bos": (
        "The beginning-of-text token stands twice",
        "The chat template writes %(token)s twice at the start of %(count)s of %(rows)s prompts. "
        "The model has never seen that; mend the template of the base model.",
    ),
    "doubled_template": (
        "Rows that hold a template's marks already",
        "Rows with text such as %(token)s in their messages or answers: %(count)s. The model's "
        "template is laid around it a second time, as plain words.",
    ),
    "default_system": (
        "The template speaks first",
        "Where a prompt has no system message, as in %(count)s of %(rows)s rows, the template "
        "writes one of its own: “%(text)s”. It is trained with it; ask the model with it too.",
    ),
    "dated_template": (
        "The template writes today's date",
        "Prompts differ from day to day, and what is kept of the reference model serves one day "
        "only. Set the date in the template, if that matters to you.",
    ),
    "boundary": (
        "Where the prompt ends and the answer starts",
        "In %(same)s of %(rows)s rows the template writes prompt and answer just as they are "
        "trained here.",
    ),
    "boundary_differs": (
        "The template writes answers otherwise than they are trained",
        "In %(count)s of %(rows)s rows the template would put something else between prompt and "
        "answer, or change the answer (strip it, add a thinking block). Trained is what the model "
        "sees when it is asked: the generation prompt, then the answer as it was judged.",
    ),
    "not_decoded_back": (
        "Words that the tokenizer changes",
        "%(count)s of %(rows)s answers are not the same after being encoded and decoded: the "
        "tokenizer cannot write all of their characters.",
    ),
    "length_bias": (
        "Length of chosen and rejected answers",
        "The chosen answer is the longer one in %(share)s %% of %(pairs)s pairs (95 %% interval "
        "%(low)s to %(high)s %%, clustered by prompt); the median difference is %(median)s tokens "
        "(%(median_low)s to %(median_high)s).",
    ),
    "split_leak": (
        "Prompts in both splits",
        "Prompts of the test rows that are in the training rows too, but for spaces, case and "
        "punctuation: %(count)s. Test figures will look better than they are.",
    ),
    "repeated": (
        "Prompts that come again",
        "%(rows)s rows to train on have %(prompts)s different prompts; the one with most rows has "
        "%(most)s.",
    ),
    "no_rationales": (
        "Rows without a rationale",
        "%(count)s of %(rows)s rows to train on have no reason in words by somebody who voted for "
        "the chosen answer. This recipe learns from such reasons; those pairs teach without one.",
    ),
    "no_ground_truth": (
        "Rows without a reference answer",
        "%(count)s of %(rows)s rows to train on have a prompt without a reference answer, which "
        "ground_truth_weight learns from; those pairs teach without it.",
    ),
    "no_strengths": (
        "Rows without a strength",
        "%(count)s of %(rows)s rows to train on say nothing of how much better the chosen side is; "
        "with weight_by strength they teach nothing, with strength_offset they ask for no lead.",
    ),
    "both_bad": (
        "Pairs of which both are bad",
        "%(count)s of %(rows)s rows have no winner, since both sides are bad. KTO learns from them "
        "that neither is good.",
    ),
    "both_bad_left": (
        "Pairs of which both are bad",
        "%(count)s of %(rows)s rows have no winner, since both sides are bad. They are left out "
        "here; KTO would learn from them.",
    ),
    "many_ties": (
        "Many ties",
        "%(share)s %% of the rows to train on are ties. They teach that two answers are equal, "
        "and little about which is better.",
    ),
    "steps": (
        "Steps",
        "%(steps)s optimiser steps of %(per_step)s rows, %(epochs)s times through the rows.",
    ),
    "few_steps": (
        "Few steps",
        "Only %(steps)s optimiser steps of %(per_step)s rows: hardly enough for the warm-up.",
    ),
    "rate_high": (
        "A high learning rate",
        "learning_rate %(rate)s is high for training all weights; 5e-7 to 5e-6 is usual.",
    ),
    "rate_high_adapter": (
        "A high learning rate",
        "learning_rate %(rate)s is high for an adapter; 1e-5 to 2e-4 is usual.",
    ),
    "unknown_layers": (
        "Layers that the model does not have",
        "lora_targets names %(names)s, which the base model has not. It has: %(there)s.",
    ),
    "memory": (
        "Memory",
        "About %(needed)s of %(there)s on %(where)s: weights %(weights)s, gradients and optimiser "
        "%(optimiser)s, one pass %(pass)s. An estimate, good to a third or so.",
    ),
    "memory_unknown": (
        "Memory",
        "The weights of %(source)s are not on this machine yet, so their size is not known before "
        "they are fetched.",
    ),
    "memory_tight": (
        "It may not fit the memory",
        "About %(needed)s are needed and %(there)s are there on %(where)s: weights %(weights)s, "
        "gradients and optimiser %(optimiser)s, one pass %(pass)s. An estimate, good to a third "
        "or so.",
    ),
    "memory_over": (
        "The weights alone do not fit the memory",
        "The weights need %(weights)s and %(there)s are there on %(where)s.",
    ),
    "time": (
        "Time",
        "About %(time)s, %(start)s of it to load, look and save, at the %(speed)s tokens a second "
        "that run %(run)s came to with this base on this server.",
    ),
    "time_unknown": (
        "Time",
        "Unknown: no run has trained this base on this server yet. The first steps will tell.",
    ),
    "disk": (
        "Disk",
        "%(free)s are free; checkpoints, model and what is kept for later runs need about "
        "%(needed)s.",
    ),
    "disk_tight": (
        "Little room on the disk",
        "%(free)s are free, and checkpoints, model and what is kept for later runs need about "
        "%(needed)s.",
    ),
    "disk_full": (
        "The disk is too full",
        "%(free)s are free, and checkpoints, model and what is kept for later runs need about "
        "%(needed)s. Make room first.",
    ),
    "gpu": ("GPU", "GPUs here: %(count)s. It would train on %(where)s."),
    "no_gpu": (
        "No GPU",
        "device is cuda, but this machine has no GPU that can be used.",
    ),
    "cpu_only": (
        "No GPU",
        "It trains on the CPU. A model of %(parameters)s parameters learns slowly there: try a "
        "few steps first.",
    ),
    "no_winner": (
        "Pairs that are left out",
        "Pairs that teach nothing and are left out: %(count)s of %(rows)s. Ties among them: "
        "%(ties)s; of one file twice: %(same)s.",
    ),
    "unreadable": (
        "Files that cannot be read",
        "Pairs that are left out since one of their files cannot be read: %(count)s of %(rows)s. "
        "The first file, %(file)s, %(reason)s.",
    ),
    "no_files": (
        "No pair has files that can be read",
        "Of %(rows)s pairs to train on none has two files that are there and can be read.",
    ),
    "odd_files": (
        "Files that are brought into form",
        "Of %(files)s files: %(told)s. Transparent parts become white, colours become sRGB with 8 "
        "bits, the first frame of an animation counts, what is turned is set upright.",
    ),
    "shapes": (
        "Sizes",
        "%(files)s files from %(least)s to %(most)s pixels. Both sides of a pair are brought to "
        "one shape, scaled and cropped in the middle; shapes and their pairs: %(shapes)s.",
    ),
    "clips": (
        "Lengths of clips",
        "Clips last %(least)s to %(most)s s. The first %(taken_least)s to %(taken)s s of them are "
        "trained on, the same of both sides.",
    ),
    "still_clips": (
        "Clips of a single frame",
        "Pairs of which a clip is so short that one frame is all that is trained: %(count)s. They "
        "teach nothing about motion.",
    ),
    "sides_differ": (
        "Sides of different size",
        "Pairs whose two sides differ in size: %(count)s of %(rows)s. Both are brought to one "
        "shape; where one is wider than the other, more of it is cut away, which may be what "
        "people judged.",
    ),
    "enlarged": (
        "Small files",
        "Pairs with a side that is enlarged more than twice: %(count)s of %(rows)s. The model "
        "learns to blur from them. Set a smaller resolution or use larger files.",
    ),
    "prompts_cut": (
        "Prompts cut at their end",
        "%(count)s of %(prompts)s prompts are longer than the model's text encoder reads; what "
        "stands after that is not seen.",
    ),
    "prompts_unknown": (
        "Prompts that mean nothing to the model",
        "%(count)s prompts. The first: %(why)s",
    ),
    "bad_size": ("A size that the model does not work at", "%(message)s"),
    "encoded": (
        "What is there already",
        "%(known)s of %(files)s files and %(there)s of %(prompts)s prompts are encoded from "
        "earlier runs.",
    ),
    "beta_units": (
        "beta in both units",
        "beta %(beta)s counts errors averaged over the %(elements)s elements of a sample; on their "
        "sum it is %(sum)s, which can be compared between models and sizes.",
    ),
    "errors_known": (
        "What the frozen model has said already",
        "Of %(wanted)s errors of the frozen model at prepared draws %(known)s are there from "
        "earlier runs.",
    ),
    "passes": (
        "Work",
        "%(encode)s files to encode, %(asked)s pairs to ask the frozen model for, %(steps)s steps "
        "with %(pairs)s pairs in all to train on.",
    ),
    "media_time": (
        "Time",
        "About %(time)s, %(start)s of it to load, encode, look and save, at the %(speed)s pairs a "
        "second that run %(run)s came to with this base on this server.",
    ),
    "without_dense": (
        "Pairs without verdicts on segments",
        "%(count)s of %(rows)s pairs to train on have no verdict on a part of their clips; the "
        "loss dense takes their whole clips for one part.",
    ),
    "without_masked": (
        "Pairs without marks",
        "%(count)s of %(rows)s pairs to train on have no box or time that somebody marked; the "
        "loss masked takes all of them as marked.",
    ),
    "without_rank": (
        "Prompts with a single pair",
        "%(count)s of %(rows)s pairs to train on are the only one of their prompt, so that there "
        "is no ranking; the loss rank is plain DPO on them.",
    ),
    "media_lost": (
        "Files that are missing",
        "Files that the rows speak of and that are not on the server's disk: %(count)s.",
    ),
}
REMEDIES: dict[str, str] = {
    "drop_too_long": "Leave such rows out (drop_too_long on)",
    "max_length": "Set max_length to %(value)s, so that everything fits",
    "ld_alpha": "Let length count for less (ld_alpha %(value)s)",
    "normalise": "Or choose simpo, whose reward is a mean over tokens",
    "gradient_checkpointing": "Switch gradient_checkpointing on",
    "mend_base": "Mend what is said of its files, or choose another base model",
    "copy_whole": "Copy the whole model again, and see that config.json belongs to it",
    "more_rows": "Label more pairs and freeze a new version of them",
    "more_wins": "Label pairs in which one side wins, and freeze a new version",
    "more_prompts": "Freeze a version with a smaller test share, or of more prompts",
    "other_answers": "Leave out pairs whose two answers are the same, and freeze a new version",
    "written_by": "Set written_by to a model that wrote answers of this version: %(value)s",
    "more_steps": "Lower accumulation or batch_size, or go through the rows more often",
    "max_steps": "Raise max_steps where this is to be more than a try-out",
    "to_context": "Set max_length to %(value)s, or choose a base with a longer context",
    "judged_length": "Read some of these pairs: was length what people were to judge? If not, say "
    "so in the guidelines and label them again",
    "halve_batch": "Halve batch_size to %(value)s and double accumulation: the steps stay the same",
    "halve_on_oom": "Halve passes by itself where memory runs out (halve_on_oom on)",
    "train_lora": "Train an adapter instead of all weights",
    "device_auto": "Set device to auto",
    "learning_rate": "Set learning_rate to %(value)s",
    "lora_targets": "Take every linear layer (lora_targets all-linear)",
    "sft_weight": "Hold the chosen answers' probability up (sft_weight %(value)s)",
    "epochs": "Go through the rows %(value)s times",
    "own_size": "Take the model's own size (resolution 0)",
    "own_targets": "Take the layers that suit the model (lora_targets empty)",
    "plain_loss": "Take the plain loss (loss_type dpo)",
}


@dataclass(frozen=True)
class Remedy:
    code: str
    set: dict[str, Any] = field(default_factory=dict)
    """Settings by name, as a button puts them into the form; empty for advice alone."""
    value: str = ""

    def as_dict(self) -> dict[str, Any]:
        values = {"value": self.value}
        text = REMEDIES[self.code] % values
        return {"code": self.code, "text": text, "set": self.set, "values": values}


@dataclass(frozen=True)
class Finding:
    code: str
    level: Level
    values: dict[str, Any] = field(default_factory=dict)
    rows: tuple[tuple[int, str], ...] = ()
    """Number of the row in its version, from 1, and its pair's key: all that it is about."""
    remedies: tuple[Remedy, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        title, text = WORDS[self.code]
        values = {name: str(value) for name, value in self.values.items()}
        return {
            "code": self.code,
            "level": self.level,
            "title": title,
            "text": text % values,
            "values": values,
            "said": {name: told for name, value in self.values.items() if (told := coded(value))},
            "rows": [{"number": number, "pair": pair} for number, pair in self.rows[:NAMED]],
            "more": max(0, len(self.rows) - NAMED),
            "remedies": [remedy.as_dict() for remedy in self.remedies],
        }
