"""What training says, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.inference.saying import WORDS as OF_INFERENCE
from steelyard.lib.said import WORDS as OF_ENGINES
from steelyard.lib.said import Counted, Words

WORDS: dict[str, Words] = {
    **OF_ENGINES,
    "no_such_layer": "lora_targets names '%(layer)s', which is no layer of this model that can "
    "take an adapter. It has: %(there)s; or write all-linear.",
    "trains_nothing": "This model has no %(weights)s, so train %(trained)s would train nothing. "
    "Most Llama-like models have no biases: train norm, head or an adapter (lora) instead.",
    "not_a_language_model": "This recipe trains language models (family causal_lm) and "
    "vision-language models; %(base)s is of family %(family)s. Choose another base model or "
    "recipe.",
    "base_sees_nothing": "%(asked)s of %(of)s prompts are about a picture or a video, which "
    "%(base)s would not see. Choose a vision-language model as base, or freeze a version of the "
    "categories whose prompts are text alone.",
    "other_checkpoint": "The checkpoint %(checkpoint)s was made with other settings or data than "
    "run.json now says. Start a new run instead of changing this one.",
    "checkpoint_disk_full": "The disk is full: the %(what)s could not be saved in %(folder)s. The "
    "last checkpoint is whole. Free some space (a checkpoint takes three times what is trained) "
    "and start the run again; it goes on from there.",
    "no_rows": "The dataset version has no rows. Label some pairs and freeze a new version.",
    "wrong_rows": "This recipe trains on %(modality)s pairs, but %(other)s of %(of)s rows are of "
    "modality %(theirs)s. Choose another recipe or another dataset version.",
    "recipe_sees_nothing": "%(asked)s of %(of)s prompts are about a picture or a video, which "
    "this recipe would not see. Freeze a version of the categories whose prompts are text alone.",
    "no_train_rows": Counted(
        "The only row is not there to train on. Freeze a version with a smaller test share, with "
        "another seed, or of more prompts.",
        "None of the %(rows)s rows is there to train on. Freeze a version with a smaller test "
        "share, with another seed, or of more prompts.",
        "rows",
    ),
    "all_ties": Counted(
        "The only row to train on is a tie or of two bad answers, so there is nothing to learn. "
        "Label pairs in which one side wins.",
        "All %(ties)s rows to train on are ties or of two bad answers, so none is better than "
        "another and there is nothing to learn. Label pairs in which one side wins.",
        "ties",
    ),
    "no_end_of_turn": OF_INFERENCE["no_end_of_turn"],
    "bad_weight": "Row %(number)s has the weight %(weight)s; a weight is a number from 0 up.",
    "empty_prompt": "The prompt of row %(number)s is empty, and the model's chat template adds "
    "nothing to it. Leave that row out, or use a model with another template.",
    "unreadable_file": "The dataset file %(names)s of this run cannot be read: %(error)s. It "
    "should be the Parquet file of a dataset version; freeze a version and start a new run.",
    "kept": "The model is kept; its weights have the SHA-256 %(digest)s.",
    "no_compile": "compile does nothing here: %(reason)s. The run goes on without.",
    "draws": "%(needed)s prepared draws; the frozen model was asked for %(asked)s of them, the "
    "others were there.",
    "loss": "Loss %(loss)s",
    "gpu_too_small_for_size": "The GPU's memory is too small for this run. Lower batch_size and "
    "raise accumulation by the same factor (the steps stay the same), lower resolution, switch "
    "gradient_checkpointing on, or let halve_on_oom find the size that fits.",
    "goes_on": "Going on from the checkpoint after step %(step)s of %(of)s.",
    "plan": Counted(
        "%(steps)s step. Pairs in it: %(pairs)s.",
        "%(steps)s steps. Pairs in each: %(pairs)s.",
        "steps",
    ),
    "fits_less_at_end": "At the end the model fits the chosen side less well than its reference, "
    "only the rejected one lost more. What it makes may have become worse: look at it, and raise "
    "beta, lower learning_rate or max_steps, or switch the safeguard on if so.",
    "beta_in_units": "beta %(beta)s on errors averaged over %(elements)s elements is %(sum)s on "
    "their sum.",
    "training_media": "%(trained)s parameters are trained, %(what)s; %(device)s, %(dtype)s; the "
    "model predicts %(predicts)s, errors are in terms of the %(unit)s.",
    "media_pairs": "Pairs to train on: %(train)s, to test with: %(test)s. Left out: %(left)s.",
    "gpu_too_small_for_length": "The GPU's memory is too small for this run. Lower batch_size and "
    "raise accumulation by the same factor (the steps stay the same), lower max_length, switch "
    "gradient_checkpointing on, or let halve_on_oom find the size that fits.",
    "not_revised": "No test prompts are answered and revised: with shard no process has the whole "
    "model.",
    "media_not_kept": "Encoded media could not be kept in %(folder)s: %(why)s.",
    "media_disk_full": "The disk is full: encoded media could not be kept in %(folder)s. Make "
    "room and start the run again; it goes on from there.",
    "looking_at_media": "Looking at pictures and clips",
    "no_row_left": "No row is left to train on. Left out: %(left)s; and rows of weight 0 do not "
    "count. Label more pairs and freeze a new version.",
    "no_readable_pair": "No pair to train on has two files that can be read. Left out: %(left)s.",
    "no_such_family": "No model of family %(family)s is trained on pictures or clips.",
    "bad_base_settings": "The settings of the base model cannot be read: %(error)s.",
    "bad_tokenizer": "Its tokenizer cannot be read: %(error)s.",
    "no_base_folder": "The base model %(source)s lies in no folder of this machine, so the parts "
    "that were not trained cannot be put beside what was. Train an adapter instead.",
    "bad_encoder": "The encoder of the base model gives no numbers for the file %(file)s of "
    "%(row)s. Its weights are broken, or they are in a number format that is too small for it.",
    "asking_frozen": "Asking the frozen model",
    "errors_not_kept": "The frozen model's errors could not be kept in %(folder)s (%(error)s); "
    "this run goes on without, the next one computes them again.",
    "encoding": "Encoding pictures and clips",
    "file_gone_bad": "The file %(file)s of %(row)s cannot be read any more: %(error)s. Start the "
    "run again, so that its inputs are laid out anew.",
    "making_samples": "Making samples",
    "halved": "The GPU's memory was too small for a pass: passes are half as large from here on. "
    "The steps stay the same.",
    "fits_less": "In %(above)s of the last %(steps)s steps the model fitted the chosen side less "
    "well than its reference: the margin may grow, but what it makes may become worse. Lower "
    "learning_rate, raise beta, switch the safeguard on or give sft_weight 0.1 to 1.",
    "no_weights": "weight_by %(weight_by)s leaves every pair without any weight: none has a "
    "verdict that is more certain than another. Choose none.",
    "chosen_fall": "The chosen answers have lost %(nats)s nats a token since the start while the "
    "margin grew: the model makes both answers less likely, the rejected ones more so, and may "
    "write something else altogether. Lower learning_rate or raise beta, or let the chosen "
    "answers count by themselves: sft_weight 0.1 to 1 in the dpo recipe.",
    "no_flex": "compile and flex attention are for a GPU; this run goes on without.",
    "flex_unread": "Flex attention does not read this model's packed rows: %(reason)s. sdpa does.",
    "not_packed": "This model cannot read several answers in a row with their prompt: %(reason)s. "
    "Each answer gets a row of its own, which gives the same result and takes longer.",
    "too_many_processes": Counted(
        "There are more processes on this machine than the %(there)s GPU it has for them. Set "
        "processes to %(there)s, or device to cpu.",
        "There are more processes on this machine than the %(there)s GPUs it has for them. Set "
        "processes to %(there)s, or device to cpu.",
        "there",
    ),
    "looking_alike": Counted(
        "Looking among %(pictures)s picture for those that are alike.",
        "Looking among %(pictures)s pictures for those that are alike.",
        "pictures",
    ),
    "second_pictures": "%(kept)s of %(of)s pairs have another picture now, see data/%(file)s; "
    "left out: %(left)s.",
    "sees_no_pictures": "The dual_dpo recipe trains vision-language models; %(base)s sees no "
    "pictures. Choose another base model or the dpo recipe.",
    "too_few_pictures": "The version's prompts are about %(pictures)s different pictures, one "
    "each; another one can be found only among several. Use the dpo recipe, or negatives own with "
    "prompts of two pictures.",
    "no_second_pictures": "Of %(pairs)s pairs none got a second picture: %(left)s. Raise "
    "neighbours or most_alike, or let the record's own answer be the worse one.",
    "other_pictures": "Other pictures for %(done)s of %(of)s pairs",
    "pictures_seen": "%(done)s of %(of)s pictures looked at",
    "not_diffusion": "The base model %(base)s is of family %(family)s. Diffusion-DPO trains: "
    "%(known)s.",
    "one_size": "This model paints pictures of %(size)s pixels and no other size; set resolution "
    "to 0 or %(size)s, not %(asked)s.",
    "not_a_multiple": "Sides must be multiples of %(multiple)s pixels for this model; they are "
    "%(width)s x %(height)s.",
    "too_large": "This model knows no positions beyond %(most_width)s x %(most_height)s pixels; "
    "clips are brought to %(width)s x %(height)s. Set a lower resolution, or use clips that lie "
    "the same way.",
    "bad_prediction": "The model's scheduler says that it predicts %(prediction)s; Diffusion-DPO "
    "reads %(known)s. Choose another base model.",
    "no_noise_steps": "The model's scheduler, %(scheduler)s, says nothing of the steps of noise "
    "that it was trained with, so it cannot be trained here. It can be painted with.",
    "no_room": "No room for the model after step %(step)s; the run goes on.",
    "no_gpu": "device is cuda, but this machine has no GPU that torch can use. Choose auto or "
    "cpu, or start the run on a machine with one.",
    "diverged": "At step %(step)s the loss has been at least %(least)s for %(steps)s steps, "
    "against %(first)s at the start: training has diverged. Lower learning_rate (now %(rate)s) by "
    "a factor of 3 to 10, or set max_grad_norm (now %(norm)s) to 1, and start a new run.",
    "not_finite": "%(name)s became %(value)s at step %(step)s%(where)s. The model up to the last "
    "checkpoint is unharmed, but training on would not help. Lower learning_rate (now %(rate)s) "
    "by a factor of 3 to 10, or lower max_grad_norm (now %(norm)s), and start a new run.",
    "worse": "The %(name)s ended at %(end)s, above the %(start)s of the model it started from: "
    "training made the model worse at these preferences, not better. Lower learning_rate (now "
    "%(rate)s) by a factor of 3 to 10, or train for fewer steps.",
    "no_ground_truth": "ground_truth_weight is above 0, but no prompt of the rows to train on has "
    "a reference answer. Bring prompts in with reference_answer and freeze a new version, or set "
    "ground_truth_weight to 0.",
    "no_strengths": "%(wanted)s asks for the strength of verdicts, but no row to train on has "
    "any: nothing would be learnt from it. Freeze a version of verdicts with a strength, or set "
    "%(wanted)s to %(off)s.",
    "no_second_picture": Counted(
        "Row %(row)s has %(pictures)s picture; with negatives own every prompt needs two: the one "
        "that is asked about, and the other one. Set negatives to retrieved to have others found.",
        "Row %(row)s has %(pictures)s pictures; with negatives own every prompt needs two: the one "
        "that is asked about, and the other one. Set negatives to retrieved to have others found.",
        "pictures",
    ),
    "unknown_writer": "No answer of this version is by “%(wanted)s”, which written_by names. Its "
    "answers are by %(names)s.",
    "no_writer": "written_by must name the model whose answers are learnt, as the dataset version "
    "names it. This row's answers are by %(one)s and %(other)s.",
    "not_sharded": "The optimiser %(optimiser)s cannot move weights that are spread over several "
    "processes. Choose adamw or lion, train an adapter, or use one process.",
    "bad_curve": "The schedule refined needs the gradient lengths of a past run in refined_from: "
    "the number of that run, or at least two numbers from 0 up with commas between.",
    "no_bitsandbytes": "The 8-bit optimisers need the library bitsandbytes, which does not load "
    "on this machine (%(error)s). Choose adamw or lion, or install bitsandbytes for this machine.",
    "reading_rows": "Reading the rows",
    "tokenising": "Tokenising",
    "looking_at_files": "Looking at files",
    "measuring": "Measuring the machine",
    "other_modality": "%(other)s of %(of)s rows are of modality %(theirs)s; the base model is for "
    "%(modality)s.",
    "rows_not_read": "The rows cannot be read: %(error)s.",
    "base_not_finite": "The base model gives probabilities that are no numbers, before any "
    "training, at row %(row)s (pair %(pair)s) among others. Its weights are broken, or bfloat16 "
    "is too coarse for it: try dtype float32.",
    "reference_not_kept": "The reference probabilities could not be kept in %(folder)s "
    "(%(error)s); this run goes on without, the next one computes them again.",
    "reference": "Reference probabilities of %(done)s of %(of)s pairs",
    "revised": Counted(
        "%(prompts)s test prompt is answered, its answer revised %(revisions)s×.",
        "%(prompts)s test prompts are answered, each answer revised %(revisions)s×.",
        "prompts",
    ),
    "sum_kept": Counted(
        "The adapter of %(rounds)s round is kept; its weights have the SHA-256 %(digest)s.",
        "The adapters of %(rounds)s rounds are kept as one, their sum; its weights have the "
        "SHA-256 %(digest)s.",
        "rounds",
    ),
    "in_round": "Round %(round)s: %(text)s",
    "round_of": "Round %(round)s of %(rounds)s. %(text)s",
    "no_sample_prompts": "No prompt is of text alone and short enough to write samples for.",
    "writing_samples": "Writing samples",
    "cannot_be_trained": "Models of type %(type)s can be asked but not trained here: they mix "
    "pictures into every layer. LLaVA, Qwen-VL, SmolVLM, Idefics 3, Gemma 3 and InternVL can.",
    "in_row": "Row %(row)s: %(trouble)s",
    "threads": Counted(
        "threads is %(asked)s, but this machine has %(cores)s core: %(cores)s used.",
        "threads is %(asked)s, but this machine has %(cores)s cores: %(cores)s used.",
        "cores",
    ),
    "for_a_gpu": "it is for a GPU",
    "no_blocks": "the model has no blocks that repeat (%(error)s)",
    "no_mask": "it does not take their mask or positions (%(error)s)",
    "other_numbers": "its numbers are others by %(nats)s nats a token",
    "training": "%(trained)s of %(of)s parameters are trained, %(what)s; %(device)s, %(dtype)s, "
    "%(rows)s.",
    "on_cpu": Counted(
        "%(device)s (%(threads)s thread)", "%(device)s (%(threads)s threads)", "threads"
    ),
    "what_lora": "in an adapter of rank %(rank)s",
    "what_all": "all weights",
    "what_part": "%(trained)s weights alone",
    "shared_prompts": "prompts shared by their answers",
    "row_each": "a row for each answer",
    "rate_high_all": "learning_rate %(rate)s is high for training all weights; 5e-7 to 5e-6 is "
    "usual.",
    "rate_high_lora": "learning_rate %(rate)s is high for an adapter; 1e-5 to 2e-4 is usual.",
    "rate_high_lion": "learning_rate %(rate)s is high for Lion, which moves every weight by all of "
    "it each step: a third to a tenth of AdamW's is usual, with weight_decay as many times higher.",
    "no_schedule": "schedule_free needs no schedule: after the warm-up the learning rate stays, "
    "and what is measured and saved is the average of the weights.",
    "ties_in_loss": "The data hold ties, so the loss is that of %(ties)s with %(share)s of equals "
    "tied; before training it is above the 0.693 of a loss without ties.",
    "at_rows": ", at %(rows)s",
    "prompt_tokens": "%(prompt)s (%(tokens)s tokens)",
    "row_named": "row %(number)s %(named)s",
    "row_pair": "row %(number)s (pair %(pair)s)",
    "pair_named": "pair %(pair)s",
    "name_loss": "loss",
    "name_test_loss": "test loss",
    "name_grad_norm": "grad norm",
    "checkpoint": "checkpoint",
    "model": "model",
    "model_of_checkpoint": "model of the checkpoint",
    "none": "none",
    "answers_held_out": "The model answers held-out prompts, and its base is asked how likely that "
    "was.",
    "judges_answers": Counted(
        "%(judge)s judges %(pairs)s pair of answers.",
        "%(judge)s judges %(pairs)s pairs of answers.",
        "pairs",
    ),
    "name_taken": "“%(taken)s” was taken meanwhile; the model is called “%(name)s”",
    "no_model_folder": "The training run ended without a model folder.",
}
"""Of every recipe, by code."""

OF_ROWS: dict[str, Words] = {
    "pairs": "Pairs to train on: %(train)s, to test with: %(test)s; ties among them: %(ties)s.",
    "lengths": "Prompt and answer together: median %(median)s tokens, longest %(longest)s, limit "
    "%(limit)s; %(tokens)s tokens in all.",
    "cut": "Cut at their end: %(cut)s.",
    "cut_of": Counted(
        "%(count)s answer called %(name)s", "%(count)s answers called %(name)s", "count"
    ),
    "left_out": "Pairs left out: with a prompt that is too long %(long)s, with two answers that "
    "are the same %(same)s.",
    "first_pair": "The first pair, pair %(pair)s, as it is trained: the prompt %(prompt)s is read; "
    "%(answers)s are learnt from.",
    "counted": "Counted: %(counted)s.",
    "more_rows": Counted(
        "And %(left)s more row like these.", "And %(left)s more rows like these.", "left"
    ),
    "without_rationale": "Row %(row)s goes without its rationale: %(what)s is too long.",
    "prompts_too_long": "Prompts that leave no room for an answer within %(limit)s tokens "
    "(max_length, or the model's context if that is shorter): %(count)s of %(rows)s: %(named)s. "
    "Raise max_length if the model's context allows it, switch drop_too_long on to train without "
    "them, or choose a model with a longer context.",
    "none_left": "Of %(rows)s rows none is left to train on: %(why)s. %(todo)s",
    "lost_dropped_too_long": Counted(
        "%(count)s has a prompt that is too long",
        "%(count)s have a prompt that is too long",
        "count",
    ),
    "lost_dropped_identical": Counted(
        "%(count)s has two answers that are the same within max_length",
        "%(count)s have two answers that are the same within max_length",
        "count",
    ),
    "lost_dropped_tie": Counted(
        "%(count)s is a tie, which this recipe leaves out",
        "%(count)s are ties, which this recipe leaves out",
        "count",
    ),
    "lost_dropped_both_bad": Counted(
        "%(count)s is of two bad answers, which this recipe leaves out",
        "%(count)s are of two bad answers, which this recipe leaves out",
        "count",
    ),
    "lost_dropped_other_writer": Counted(
        "%(count)s has no answer by the model that written_by names",
        "%(count)s have no answer by the model that written_by names",
        "count",
    ),
    "lost_to_test": Counted(
        "%(count)s is there to test with", "%(count)s are there to test with", "count"
    ),
    "lost_none": "there are none",
    "mend_length": "Raise max_length, or choose a base with a longer context.",
    "mend_ends": "Raise max_length if only their ends differ.",
    "mend_label_wins": "Label pairs in which one side wins.",
    "mend_writer": "Set written_by to a model that wrote the answers of rows to train on.",
    "mend_label": "Label more pairs.",
    "not_one_picture": "%(count)s not about one picture",
    "nothing_alike": "%(count)s with no other picture",
    "nothing_to_mask": "%(count)s with an answer of which nothing would be masked",
    "all_alike": "%(count)s with no refilled answer that differs enough",
}
"""What language models are trained on."""

OF_MEDIA: dict[str, Words] = {
    "media_dropped_ties": Counted("%(count)s tie", "%(count)s ties", "count"),
    "media_dropped_both_bad": "%(count)s of which both are bad, which only kto learns from",
    "media_dropped_identical": "%(count)s of one file twice",
    "media_dropped_unreadable": "%(count)s with a file that cannot be read",
    "files_gone": Counted(
        "The file %(file)s is not among the run's media. Start the run again, so that its inputs "
        "are laid out anew; if that does not help, it is gone from the server.",
        "The files %(file)s are not among the run's media. Start the run again, so that its "
        "inputs are laid out anew; if that does not help, they are gone from the server.",
        "files",
    ),
    "taken_alpha": "%(count)s of %(files)s files are transparent and were laid on white.",
    "taken_animated": "%(count)s of %(files)s files are animations, of which the first frame "
    "counts.",
    "taken_cmyk": "%(count)s of %(files)s files were in CMYK and were brought to sRGB.",
    "taken_sixteen_bit": "%(count)s of %(files)s files had 16 bits a channel and were scaled to 8.",
    "taken_turned": "%(count)s of %(files)s files were turned upright.",
    "odd_alpha": "%(count)s transparent",
    "odd_animated": "%(count)s animated",
    "odd_cmyk": "%(count)s CMYK",
    "odd_sixteen_bit": "%(count)s 16 bits a channel",
    "odd_turned": "%(count)s turned",
    "sides_differ": Counted(
        "In %(count)s pair the two sides differ in size; both are brought to one shape.",
        "In %(count)s pairs the two sides differ in size; both are brought to one shape.",
        "count",
    ),
    "control_random": "A control: %(count)s of %(pairs)s pairs to train on have their sides "
    "exchanged (random labels). What this makes is no better than chance, or worse.",
    "control_reversed": "A control: %(count)s of %(pairs)s pairs to train on have their sides "
    "exchanged (reversed labels). What this makes is no better than chance, or worse.",
    "pair_lost": "%(row)s, whose file %(file)s %(why)s",
    "pairs_left_out": "Left out: %(left)s.",
    "not_decoded": "cannot be decoded (%(error)s)",
    "too_small": "has %(width)s x %(height)s pixels; each side needs %(least)s at least",
    "too_many_pixels": "has %(width)s x %(height)s pixels; at most %(most)s million are read",
    "no_frame": "holds no frame",
    "no_film": "holds no film",
    "floating_point": "has pixels in floating point; nobody knows what is white in it",
    "cut_frames": "is cut off: %(count)s frames in %(seconds)s s are there, and it says that it "
    "has %(told)s",
    "cut_seconds": "is cut off: %(count)s frames in %(seconds)s s are there, and it says that it "
    "lasts %(lasts)s s",
    "shapes": "Shapes: %(shapes)s.",
    "shape": Counted(
        "%(width)s x %(height)s: %(pairs)s pair", "%(width)s x %(height)s: %(pairs)s pairs", "pairs"
    ),
    "shape_of_clips": Counted(
        "%(width)s x %(height)s x %(frames)s frames: %(pairs)s pair",
        "%(width)s x %(height)s x %(frames)s frames: %(pairs)s pairs",
        "pairs",
    ),
    "prompts_cut": "%(cut)s of %(prompts)s prompts are longer than the encoder reads and are cut "
    "at their end.",
    "files_encoded": "%(encoded)s of %(files)s files were encoded for this run, %(known)s were "
    "there.",
    "no_more_samples": "No samples are made any more: %(why)s",
    "no_room_for_samples": "the GPU's memory has no room for them beside the training. Lower "
    "resolution, clip_frames or batch_size, or set sample_every to 0. The training goes on.",
    "samples_failed": "%(why)s. The training goes on.",
}
"""What models of pictures and clips are trained on."""

WORDS |= OF_ROWS | OF_MEDIA
