"""What a preflight measures, against hand-made figures, real models and odd templates."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from steelyard.inference.text import load_causal_lm
from steelyard.lib import engine
from steelyard.lib.errors import UserError
from steelyard.lib.records import write_parquet
from steelyard.lib.rundir import RunDir
from tests.training_engine.rows import make_record, train_spec
from tests.training_engine.seeing import packed, seen
from training.engine import adapter
from training.engine.config import RECIPES, TextDPOConfig
from training.engine.data import Encoder, encode_records
from training.engine.objectives import OBJECTIVES
from training.engine.objectives.imitation import writers_of
from training.engine.preflight import _steps, check
from training.engine.preflight_machine import (
    broken_base,
    count,
    machine_findings,
    memory_needed,
    shapes_of,
    time_finding,
    trained_of,
    unknown_layers,
)
from training.engine.preflight_rows import row_findings
from training.engine.preflight_tokens import (
    bias_findings,
    length_findings,
    median_interval,
    share_and_interval,
    template_findings,
    tokenised,
)
from training.engine.preflight_words import REMEDIES, WORDS, Finding


def by_code(found: list[Finding]) -> dict[str, Finding]:
    return {finding.code: finding for finding in found}


def within(tokenizer: Any, rows: Any, limit: int) -> Any:
    """What is found of pairs where so many tokens fit, by code, and the rows that are left."""
    found, left, _ = length_findings(
        rows,
        encoder=Encoder(tokenizer, limit),
        context=512,
        objective=OBJECTIVES["dpo"],
        config=TextDPOConfig(max_length=limit),
    )
    return by_code(found), left


def rows_of(tokenizer: Any, records: list[Any]) -> Any:
    return tokenised(list(enumerate(records, 1)), Encoder(tokenizer, 1 << 20))


@pytest.fixture
def tokenizer(tiny_lm: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_lm)


def test_a_share_has_the_interval_of_its_prompts() -> None:
    values = np.array([1.0, 0.0] * 50)
    share, low, high = share_and_interval(values, np.arange(100))
    # sqrt(p (1 - p) / (n - 1)) = 0.0503
    assert (share, round(low, 3), round(high, 3)) == (0.5, 0.402, 0.598)
    # each prompt asked twice with one answer is no more than each asked once
    twice = share_and_interval(np.repeat(values, 2), np.repeat(np.arange(100), 2))
    assert twice == pytest.approx((share, low, high))
    assert share_and_interval(np.ones(10), np.arange(10)) == (1.0, pytest.approx(0.7), 1.0)
    assert share_and_interval(np.ones(10), np.zeros(10, int)) == (1.0, 0.0, 1.0)


def test_the_medians_interval_holds_the_median() -> None:
    values = np.random.default_rng(1).normal(5, 1, 300)
    low, high = median_interval(values, np.arange(300))
    assert low < np.median(values) < high
    assert 0.1 < high - low < 0.5


def test_longer_chosen_answers_are_told_with_what_helps(tokenizer: Any) -> None:
    records = [make_record(n, chosen="It is so. " * 9, rejected="No.") for n in range(1, 40)]
    found = by_code(bias_findings(rows_of(tokenizer, records), "dpo", {"ld_alpha": 1.0}))
    bias = found["length_bias"]
    assert (bias.level, bias.values["share"]) == ("look", "100")
    assert [one.code for one in bias.remedies] == ["ld_alpha", "normalise", "judged_length"]
    assert bias.remedies[0].set == {"ld_alpha": 0.5}
    even = [
        make_record(n, chosen=f"{n % 2}" * (1 + n % 2 * 8), rejected="aaaaa") for n in range(40)
    ]
    assert (
        by_code(bias_findings(rows_of(tokenizer, even), "dpo", {}))["length_bias"].level == "fine"
    )


@pytest.mark.parametrize("recipe", ["dpo", "srpo", "sft", "rationale_orpo"])
def test_shorter_chosen_answers_get_no_advice_for_longer_ones(tokenizer: Any, recipe: str) -> None:
    records = [make_record(n, rejected="It is so. " * 9, chosen="No.") for n in range(1, 40)]
    (bias,) = bias_findings(rows_of(tokenizer, records), recipe, {"ld_alpha": 1.0})
    assert (bias.level, bias.values["share"]) == ("look", "0")
    assert [one.code for one in bias.remedies] == [
        *(["normalise"] if recipe == "dpo" else []),
        "judged_length",
    ]


def test_few_steps_that_were_asked_for_are_left_as_they_are() -> None:
    def few(**changes: Any) -> Finding:
        found = _steps({**TextDPOConfig().as_dict(), **changes}, {"train": 8})
        return by_code(found)["few_steps"]

    assert [one.set for one in few(max_steps=4).remedies] == [{}]
    remedy, advice = few(epochs=1.0).remedies
    assert set(remedy.set) == {"epochs"}
    assert advice.set == {}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"learning_rate": 1.0}, "rate_high_adapter"),
        ({"learning_rate": 1e-3}, None),
        ({"learning_rate": 1e-3, "train": "all"}, "rate_high"),
        ({"learning_rate": 1e-3, "lora_rank": 0}, "rate_high"),
    ],
)
def test_a_high_learning_rate_is_told_by_what_is_trained(
    said: dict[str, Any], code: str | None
) -> None:
    found = by_code(_steps({**TextDPOConfig().as_dict(), **said}, {"train": 400}))
    assert {name for name in found if name.startswith("rate")} == ({code} if code else set())


@pytest.mark.parametrize(
    "said",
    [
        {"lora_rank": 4},
        {"lora_rank": 3, "lora_targets": "all-linear"},
        {"train": "all"},
        {"train": "norm"},
    ],
)
def test_trained_weights_are_counted_from_shapes_as_the_engine_makes_them(
    tiny_lm: Path, said: dict[str, Any]
) -> None:
    config = TextDPOConfig.from_dict(said)
    shapes = shapes_of(tiny_lm)
    model, _ = load_causal_lm(str(tiny_lm))
    assert count(shapes.values()) == sum(p.numel() for p in model.parameters())
    real = adapter.prepare(model, config)
    trained = sum(p.numel() for p in real.parameters() if p.requires_grad)
    assert trained_of(shapes, config.as_dict()) == trained


def test_memory_grows_with_what_takes_it(tiny_lm: Path) -> None:
    model = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 512}

    def need(**changes: Any) -> float:
        settings = {**TextDPOConfig().as_dict(), **changes}
        parts = memory_needed(
            shapes=shapes_of(tiny_lm),
            settings=settings,
            model=model,
            longest=200,
            answer=80,
            device="cpu",
        )
        return sum(parts.values())

    assert need(batch_size=8) > need(batch_size=4) > need(batch_size=4, gradient_checkpointing=True)
    assert need(train="all") > need()
    assert need(train="all", optimiser="adamw_8bit") < need(train="all")
    assert need(dtype="bfloat16") < need(dtype="float32")


def test_a_machine_that_is_too_small_gets_remedies(
    tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.engine import preflight_machine

    def find(memory: float, **changes: Any) -> dict[str, Finding]:
        machine = preflight_machine.Machine("cpu", memory, 0)
        monkeypatch.setattr(preflight_machine, "machine_of", lambda settings: machine)
        settings = {**TextDPOConfig().as_dict(), **changes}
        return by_code(
            machine_findings(
                shapes=shapes_of(tiny_lm),
                source="tiny",
                settings=settings,
                model={"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 512},
                longest=100,
                answer=50,
                tokens=1000,
                steps=100,
                disk=tmp_path,
            )
        )

    assert find(1e10)["memory"].level == "fine"
    tight = find(5e8)["memory_tight"]
    assert tight.remedies[0].set == {"batch_size": 2, "accumulation": 2}
    assert find(1e3)["memory_over"].level == "stop"
    assert find(1e10, device="cuda")["no_gpu"].remedies[0].set == {"device": "auto"}


def test_layers_that_a_model_does_not_have_are_named(tiny_lm: Path) -> None:
    settings = {**TextDPOConfig().as_dict(), "lora_targets": "q_proj,query"}
    (finding,) = unknown_layers(shapes_of(tiny_lm), settings)
    assert (finding.level, finding.values["names"]) == ("stop", "query")
    assert "gate_proj" in finding.values["there"]
    assert unknown_layers(shapes_of(tiny_lm), TextDPOConfig().as_dict()) == []


def test_templates_that_say_more_than_they_should_are_told(tokenizer: Any) -> None:
    records = [make_record(n) for n in range(1, 4)]
    fine = by_code(template_findings(rows_of(tokenizer, records), tokenizer))
    assert set(fine) == {"boundary"}
    template = tokenizer.chat_template
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.chat_template = "{{ bos_token }}" + template
    found = by_code(template_findings(rows_of(tokenizer, records), tokenizer))
    assert found["doubled_bos"].level == "stop"
    tokenizer.chat_template = "You are a helpful assistant, made here.\n" + template
    found = by_code(template_findings(rows_of(tokenizer, records), tokenizer))
    assert "helpful assistant" in found["default_system"].values["text"]
    tokenizer.chat_template = template.replace("message['content']", "message['content'].strip()")
    spaced = [make_record(1, chosen=" so "), make_record(2, rejected="<|im_end|> no")]
    found = by_code(template_findings(rows_of(tokenizer, spaced), tokenizer))
    assert found["boundary_differs"].rows == ((1, spaced[0].pair),)
    assert found["doubled_template"].rows == ((2, spaced[1].pair),)


def test_what_is_cut_is_counted_on_each_side(tokenizer: Any) -> None:
    records = [make_record(n, chosen="It is so. " * 20) for n in range(1, 6)]
    rows = rows_of(tokenizer, records)
    prompt = max(len(row.prompt) for row in rows)
    cut, left = within(tokenizer, rows, prompt + 60)
    lost = sum(len(row.prompt) + len(row.chosen) - prompt - 60 for row in rows)
    assert cut["cut"].values["lost_chosen"] == lost
    assert (cut["cut"].values["chosen"], cut["cut"].values["rejected"]) == (5, 0)
    assert cut["cut_uneven"].values["side"] == "chosen"
    assert all(len(row.prompt) + len(row.chosen) == prompt + 60 for row in left)
    room = cut["cut"].remedies[0].set["max_length"]
    assert within(tokenizer, rows, room)[0].keys() == {"nothing_cut"}


def test_a_length_that_fits_nothing_is_not_said_to_fit_everything(tokenizer: Any) -> None:
    rows = rows_of(tokenizer, [make_record(n) for n in range(1, 6)])
    found, left = within(tokenizer, rows, 8)
    assert set(found) == {"prompt_too_long", "nothing_left"}
    assert left == []


def with_reason(number: int) -> Any:
    vote = {"annotator": "rater", "kind": "person", "outcome": "a", "strength": -1}
    why = {"annotator": "rater", "text": "It is right, and short.", "tags": []}
    return make_record(number, votes=[vote], rationales=[why])


@pytest.mark.parametrize("recipe", ["rationale_dpo", "rationale_orpo", "srpo"])
@pytest.mark.parametrize("drop", [False, True])
def test_what_a_recipe_asks_besides_is_measured_as_the_run_measures_it(
    tokenizer: Any, recipe: str, drop: bool
) -> None:
    records = [with_reason(n) for n in range(1, 12)]
    objective = OBJECTIVES[recipe]
    pairs = rows_of(tokenizer, records)
    limit = max(row.longest for row in pairs) + 10
    config = RECIPES[recipe].from_dict({"max_length": limit, "drop_too_long": drop})
    rows = tokenised(
        list(enumerate(records, 1)), Encoder(tokenizer, 1 << 20), objective.rows, config
    )
    told, left, _ = length_findings(
        rows, encoder=Encoder(tokenizer, limit), context=None, objective=objective, config=config
    )
    found = by_code(told)
    run = {
        "max_length": limit,
        "drop_too_long": drop,
        "rows": objective.rows,
        "arrange": objective.arrange,
        "config": config,
    }
    assert "nothing_cut" not in found
    if drop and recipe != "srpo":
        counts = encode_records(records, tokenizer, **run).counts
        assert len(left) == counts["train"] + counts["test"]
        # of both splits the run counts, here those to train on
        assert found["reason_too_long"].values["count"] == counts["train"]
    else:
        with pytest.raises(UserError) as refused:
            encode_records(records, tokenizer, **run)
        assert "nothing_left" in found
        if not drop:
            assert refused.value.code == "prompt_too_long"
            assert found["context_too_long"].level == "stop"
            number = found["context_too_long"].values["count"]
            assert f": {number} of {len(records)}: row " in refused.value.message
            assert found["context_too_long"].as_dict()["more"] == number - 10
            room = found["context_too_long"].values["longest"]
            wide = RECIPES[recipe].from_dict({"max_length": room})
            assert encode_records(records, tokenizer, **{**run, "config": wide, "max_length": room})


def test_an_answer_that_is_not_trained_is_not_said_to_be_cut(tokenizer: Any) -> None:
    records = [make_record(n, outcome="tie" if n == 1 else "win") for n in range(1, 6)]
    sft = OBJECTIVES["sft"]
    config = RECIPES["sft"]()
    rows = tokenised(list(enumerate(records, 1)), Encoder(tokenizer, 1 << 20), sft.rows, config)
    limit = max(len(row.prompt) + len(row.chosen) for row in rows)
    assert max(row.longest for row in rows) > limit
    told = length_findings(
        rows, encoder=Encoder(tokenizer, limit), context=None, objective=sft, config=config
    )
    found = by_code(told[0])
    assert not {"cut", "cut_answer"} & set(found)
    assert found["left_out"].values["ties"] == 1


def test_broken_files_of_a_base_are_told_once(tiny_lm: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    assert broken_base(folder) == ""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    (folder / "config.json").write_text("{nope")
    for said in ("config.json is no JSON (line 1, column 2)", "broken or half copied"):
        rundir = RunDir(tmp_path / f"run {said[:6]}")
        rundir.create(train_spec(folder, {}))
        rundir.data.mkdir(exist_ok=True)
        write_parquet([make_record(n) for n in range(1, 9)], rundir.data / "rows.parquet")
        check(rundir, engine.Stop(rundir))
        found = (rundir.result() or {})["report"]["findings"]
        stops = [one for one in found if one["level"] == "stop"]
        assert [one["code"] for one in stops] == ["bad_base"]
        assert said in stops[0]["text"]
        shutil.copy(tiny_lm / "config.json", folder)


@pytest.mark.parametrize("negatives", ["own", "retrieved"])
def test_rows_about_two_pictures_are_measured_before_others_are_found(
    make_seeing_run: Any, negatives: str
) -> None:
    pairs = [seen(n, packed("red"), packed("blue")) for n in range(1, 7)]
    pairs = pairs if negatives == "own" else [seen(n) for n in range(1, 7)]
    rundir = make_seeing_run(recipe="dual_dpo", records=pairs, negatives=negatives)
    check(rundir, engine.Stop(rundir))
    report = (rundir.result() or {})["report"]
    assert report["level"] != "stop", report["findings"]
    assert report["figures"]["train"] == 5
    assert report["figures"]["train_tokens"] > 0


def test_time_counts_what_comes_before_the_first_step() -> None:
    speed = {"tokens_per_second": 1000.0, "run": "r"}
    assert time_finding(speed, tokens=2000, epochs=1).values["time"] == "22 s"
    known = {**speed, "start": 43.0}
    assert time_finding(known, tokens=2000, epochs=1).values["time"] == "45 s"


def test_rows_are_looked_at_before_they_are_tokenised() -> None:
    records = [make_record(n) for n in range(1, 9)]
    again = make_record(5, prompt=[{"role": "user", "content": "what is 1 + 1"}], split="test")
    rationale = RECIPES["rationale_dpo"]()
    found = by_code(row_findings([*records, again], "rationale_dpo", rationale))
    assert found["split_leak"].rows == ((9, again.pair),)
    assert found["no_rationales"].level == "stop"
    assert found["few_rows"].level == "look"
    # of the rows to train on: row 5 and the last one are there to test with
    assert found["no_rationales"].values == {"count": 7, "rows": 7}
    told = [*records, with_reason(9), make_record(10, outcome="tie")]
    found = by_code(row_findings(told, "rationale_dpo", rationale))
    assert found["no_rationales"].level == "look"
    assert found["no_rationales"].values == {"count": 7, "rows": 8}
    # ties are counted as the run's log counts them: of all rows
    assert found["rows"].values["ties"] == 1
    guided = RECIPES["dpo"].from_dict({"ground_truth_weight": 0.1})
    found = by_code(row_findings(records, "dpo", guided))
    assert (found["no_ground_truth"].level, found["no_ground_truth"].values["count"]) == ("stop", 7)
    unsaid = [make_record(n, strength=0.0) for n in range(1, 5)]
    weighed = RECIPES["dpo"].from_dict({"weight_by": "strength"})
    assert by_code(row_findings(unsaid, "dpo", weighed))["no_strengths"].level == "stop"
    assert "no_strengths" not in by_code(row_findings(records, "dpo", weighed))
    ties = [make_record(n, outcome="tie" if n < 4 else "win", split="train") for n in range(1, 6)]
    found = by_code(row_findings(ties, "dpo", {}))
    assert found["many_ties"].values == {"share": 60}
    assert found["no_test_rows"].level == "look"


def test_two_bad_answers_are_told_as_what_they_are_to_the_recipe() -> None:
    records = [make_record(n, outcome="both_bad" if n < 3 else "win") for n in range(1, 9)]
    learnt, left = (by_code(row_findings(records, recipe, {})) for recipe in ("kto", "dpo"))
    assert learnt["both_bad"].values["count"] == 2
    assert left["both_bad_left"].level == "look"


def test_every_sentence_can_be_filled_in() -> None:
    for title, text in WORDS.values():
        assert title
        assert text % dict.fromkeys(_names(text), "x")
    for text in REMEDIES.values():
        assert text % {"value": "x"}


def _names(text: str) -> list[str]:
    return [part.split(")")[0] for part in text.split("%(")[1:]]


def test_a_template_that_raises_stops_a_look_and_a_run_with_its_own_words(
    tiny_lm: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text("{{ raise_exception('Ask me in Latin.') }}")
    found = looked(folder, tmp_path / "run")
    assert found["bad_base"]["level"] == "stop"
    assert "“Ask me in Latin.”" in found["bad_base"]["text"]
    with pytest.raises(UserError) as refused:
        Encoder(AutoTokenizer.from_pretrained(folder), 512)
    assert refused.value.code == "bad_template"
    # a template that takes no question alone, but does with its answer
    alone = "{% if messages|length == 1 and not add_generation_prompt %}{{ raise_exception('no') }}"
    (folder / "chat_template.jinja").write_text(
        alone + "{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    assert "bad_base" not in looked(folder, tmp_path / "other")


def test_a_run_that_would_train_nothing_is_stopped_by_a_look(tiny_lm: Path, tmp_path: Path) -> None:
    found = looked(tiny_lm, tmp_path / "run", train="bias")
    assert found["nothing_to_train"]["level"] == "stop"
    assert found["nothing_to_train"]["remedies"][0]["set"]["train"] == "lora"
    assert "nothing_to_train" not in looked(tiny_lm, tmp_path / "norm", train="norm")


def test_a_base_that_lacks_a_weight_is_stopped_by_a_look(tiny_lm: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if name.endswith("down_proj.weight"))
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    told = looked(folder, tmp_path / "run")["broken_weights"]
    assert (told["level"], told["values"]) == ("stop", {"count": "1", "first": lost})
    with pytest.raises(UserError) as refused:
        load_causal_lm(str(folder))
    assert refused.value.code == "broken_weights"
    assert "broken_weights" not in looked(tiny_lm, tmp_path / "whole")


def test_a_look_names_the_layers_that_the_run_would_name(tiny_lm: Path, tmp_path: Path) -> None:
    told = looked(tiny_lm, tmp_path / "run", lora_targets="q_proj, nope")["unknown_layers"]
    with pytest.raises(UserError) as refused:
        adapter.check_targets(load_causal_lm(str(tiny_lm))[0], "q_proj, nope")
    assert f"It has: {told['values']['there']};" in refused.value.message


def test_a_writer_that_no_answer_is_by_is_named_with_those_that_are(
    tiny_lm: Path, tmp_path: Path
) -> None:
    told = looked(tiny_lm, tmp_path / "run", recipe="rebirth", written_by="nobody")
    assert told["bad_rows"]["level"] == "stop"
    names = writers_of([make_record(1)])
    assert "“nobody”" in told["bad_rows"]["text"]
    assert all(name in told["bad_rows"]["text"] for name in names)


def test_where_no_row_is_left_the_true_cause_is_told(tokenizer: Any) -> None:
    # the writer's answers stand in the test split alone
    records = [make_record(n, split="train") for n in range(1, 5)]
    records.append(make_record(5, chosen_model="other", split="test"))
    config = RECIPES["rebirth"].from_dict({"written_by": "other"})
    reborn = OBJECTIVES["rebirth"]
    rows = tokenised(list(enumerate(records, 1)), Encoder(tokenizer, 512), reborn.rows, config)
    told = length_findings(
        rows, encoder=Encoder(tokenizer, 512), context=512, objective=reborn, config=config
    )
    found = by_code(told[0])["nothing_left"]
    assert (found.values["writer"], found.values["test"], found.values["too_long"]) == (4, 1, 0)
    assert [one.code for one in found.remedies] == ["written_by"]
    assert "other" not in found.remedies[0].value
    with pytest.raises(UserError) as refused:
        encode_records(
            records, tokenizer, max_length=512, drop_too_long=True, rows=reborn.rows, config=config
        )
    assert (refused.value.code, refused.value.field) == ("no_train_rows", "written_by")
    assert "4 have no answer by the model that written_by names" in refused.value.message
    assert "max_length" not in refused.value.message


@pytest.mark.parametrize("code", ["few_rows", "few_steps", "context", "length_bias"])
def test_what_is_told_comes_with_what_to_do(tiny_lm: Path, tmp_path: Path, code: str) -> None:
    records = [make_record(n, chosen="It is so. " * 9, rejected="No.") for n in range(1, 40)]
    found = looked(tiny_lm, tmp_path / "run", records, max_length=4096, max_steps=2)
    assert found[code]["level"] == "look"
    assert all(one["text"] for one in found[code]["remedies"])
    assert found[code]["remedies"]


def looked(folder: Path, place: Path, records: Any = None, **config: Any) -> dict[str, Any]:
    """What a look finds, by code."""
    rundir = RunDir(place)
    recipe = config.pop("recipe", None)
    rundir.create(train_spec(folder, config) | ({"recipe": recipe} if recipe else {}))
    rundir.data.mkdir(exist_ok=True)
    rows = records or [make_record(n) for n in range(1, 9)]
    write_parquet(rows, rundir.data / "rows.parquet")
    check(rundir, engine.Stop(rundir))
    return {one["code"]: one for one in (rundir.result() or {})["report"]["findings"]}
