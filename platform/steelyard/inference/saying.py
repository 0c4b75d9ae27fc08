"""What is said of models, endpoints and scorers, and of a judge's caps, by code; see
:mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import Counted, Words

WORDS: dict[str, Words] = {
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
    "cap_calls": Counted("the cap of %(cap)s call", "the cap of %(cap)s calls", "cap"),
    "cap_tokens": Counted("the cap of %(cap)s token", "the cap of %(cap)s tokens", "cap"),
    "cap_cost": "the cap of %(cap)s of money",
    "calls": Counted("%(n)s call", "%(n)s calls", "n"),
    "tokens": Counted("%(n)s token", "%(n)s tokens", "n"),
    "used": "%(calls)s, %(tokens)s and %(cost)s of money",
    "cap_reached": "Nothing more may be asked, for %(cap)s is reached: in all its runs together "
    "the judge has used %(spent)s. Raise the cap to go on.",
    "adapter_does_not_fit": "The adapter %(folder)s does not fit %(model)s: %(why)s. Use the "
    "model it was trained on.",
    "adapter_type": "The adapter %(folder)s is of type %(type)s; only LoRA can be used.",
    "adapter_weights": "The adapter %(folder)s has no readable %(file)s. Copy it again, or train "
    "it again.",
    "no_adapter": "%(folder)s is not an adapter: it has no readable adapter_config.json.",
    "names_nothing": "The prompt “%(prompt)s” names nothing that this model can paint. It knows: "
    "%(known)s.",
    "too_few_classes": "%(source)s has %(classes)s classes, fewer than labels.json names; "
    "num_class_embeds in config.json counts the empty class too.",
    "names_several": "The prompt “%(prompt)s” names %(shown)s; this model paints one thing at a "
    "time.",
    "no_class_unet": "There is no class-conditional UNet in %(source)s: it has no %(name)s. Give "
    "a folder with config.json, safetensors weights, scheduler/ and labels.json.",
    "bad_labels": "%(path)s is missing or not as it should be (%(error)s). It says which words "
    'mean which class: {"labels": [["cat", "kitten"], ["dog"]], "empty": 2}.',
    "bad_key": "The key for %(url)s has characters that no key has, such as a line break or an "
    "accent. Paste it again.",
    "leads_on": "The endpoint %(url)s leads on to %(location)s, and nobody follows. Enter the "
    "address that it is really at.",
    "no_completion": "What %(url)s answered is no chat completion: %(said)s. Check that the URL "
    "is the base of an OpenAI-compatible API; it usually ends in /v1.",
    "no_url": "%(url)s is not a URL that can be asked: %(error)s.",
    "neither_picture_nor_clip": "The file %(file)s is neither a picture nor a clip that can be "
    "read: %(why)s. Use whole PNG, JPEG, WebP, MP4 or WebM files.",
    "cannot_be_adapted": "lora_targets (%(targets)s) cannot be adapted: %(error)s. Layers of this "
    "model: %(layers)s.",
    "image_adapter_weights": "The adapter in %(folder)s has no %(file)s. The model was trained "
    "from this adapter, so it cannot be put together without it.",
    "image_adapter_does_not_fit": "The adapter in %(folder)s does not fit the model it is to lie "
    "on: %(why)s. Use the model it was trained on.",
    "other_pipeline": "%(source)s is a %(name)s; this family takes models whose model_index.json "
    "says %(known)s.",
    "paints_nothing": "The model %(model)s is of family %(family)s, which paints nothing. "
    "Pictures are made by: %(known)s.",
    "paints_one_size": "This model paints pictures of %(size)s pixels; %(name)s is 0 or that, not "
    "%(said)s.",
    "paints_multiples": "%(name)s must be a multiple of %(multiple)s for this model; it is "
    "%(said)s.",
    "no_verdict_read": "No verdict could be read in what the judge answered, not even when asked "
    "again (the pair's a was shown as %(shown)s).",
    "wrote_nothing": "The model wrote nothing.",
    "stopped_waiting": "The run was stopped while it waited.",
    "no_pictures_folder": "This pair has pictures, and there is no folder of them.",
    "writes_no_text": "%(model)s is of family %(family)s, which writes no text. Choose a language "
    "model or an endpoint.",
    "no_key": "The key of %(name)s is not there: the environment variable %(variable)s is not set "
    "for this process.",
    "no_member": "The pipeline's member “%(name)s” is not there.",
    "bad_member": "%(name)s cannot be a member of a pipeline.",
    "picture_gone": "The picture %(file)s is not among the run's media. Start the run again, so "
    "that its inputs are laid out anew.",
    "picture_unreadable": "The picture %(file)s cannot be read: %(error)s. Use whole PNG, JPEG or "
    "WebP files.",
    "no_picture_words": "A prompt for a picture needs a message of the user that says what to "
    "show.",
    "no_aesthetic_head": "%(file)s is no aesthetic head for this CLIP model: its layers do not "
    "lead from an embedding to one number (at a width of %(width)s). The published head wants "
    "CLIP ViT-L/14.",
    "no_passages": "No passages were found for it.",
    "no_token": "The answer has no token.",
    "no_such_scorer": "There is no scorer of kind %(kind)s.",
    "no_finite_number": "%(who)s gave %(said)s where a finite number was expected for each of "
    "%(dimensions)s.",
    "other_type": "%(source)s is a model of type %(type)s, not %(what)s.",
    "lacks_weights": "The weights of %(source)s lack %(first)s; it is not %(what)s.",
    "other_shape": "%(file)s does not fit the shape of %(source)s: %(why)s. HPSv2 is a ViT-H-14, "
    "such as laion/CLIP-ViT-H-14-laion2B-s32B-b79K.",
    "no_openclip_tensor": "%(name)s is no tensor of an OpenCLIP model with a ViT. Give the "
    "checkpoint as HPSv2's makers publish it.",
    "no_weights_file": "%(file)s cannot be read as weights: %(why)s. Give safetensors, or tensors "
    "by name as torch.save writes them.",
    "no_file": "There is no file %(path)s on this server.",
    "scorer_refuses": "The scorer at %(url)s does not take the question (%(status)s %(said)s). "
    "Check its address and key.",
    "scorer_undescribed": "%(name)s was asked to describe itself and gave %(said)s; expected was "
    '{"dimensions": {"name": true where more is better}, "version": "…"}.',
    "scorer_incomplete": Counted(
        "%(name)s was asked about %(items)s item and did not answer with a score for it.",
        "%(name)s was asked about %(items)s items and did not answer with a score for each.",
        "items",
    ),
    "file_gone": "The file %(file)s is not among the run's media.",
    "scorer_declines": "%(name)s does not score it: %(words)s",
    "scorer_no_json": "What %(url)s answered is no JSON: %(said)s. Check that it is the address "
    "of a scorer.",
    "scorer_not_started": "%(name)s cannot be started: %(error)s. Its command stands in the "
    "setting STEELYARD_SCORERS.",
    "scorer_wrote": "%(who)s wrote %(line)s where a line of JSON was expected. What it says "
    "besides belongs on its standard error.",
    "scorer_without_end": "%(who)s wrote a line without end.",
    "scorer_silent": Counted(
        "%(who)s gave no answer within %(seconds)s second.",
        "%(who)s gave no answer within %(seconds)s seconds.",
        "seconds",
    ),
    "scorer_ended": "%(who)s has ended by itself. What it said stands in the run's log.",
    "scorer_ended_with": "%(who)s has ended by itself with status %(status)s. What it said stands "
    "in the run's log.",
    "not_loaded": "%(source)s could not be loaded as %(what)s: %(text)s",
    "broke_off": "The endpoint %(url)s broke off in the middle of its answer.",
    "no_stream": "What %(url)s streamed is no chat completion: %(said)s.",
    "broke_off_by": "The endpoint %(url)s broke off in the middle of its answer (%(error)s).",
    "template_refuses": "The model's chat template refuses %(asked)s. It says: “%(said)s”. Mend "
    "the template beside the model (chat_template.jinja, or chat_template in "
    "tokenizer_config.json), or use another model.",
    "too_large_for_memory": "%(source)s does not fit the memory of %(device)s. Choose a smaller "
    "model, a shorter max_new_tokens, or a machine with more memory.",
    "prompt_too_long": "The prompt %(prompt)s is %(tokens)s tokens long; with up to %(new)s new "
    "tokens that is more than the model's context of %(context)s. Shorten the prompt to at most "
    "%(most)s tokens or lower max_new_tokens.",
    "no_chat_template": "The tokenizer of %(source)s has no chat template, so it is not known how "
    "to put a question to this model. Use an instruct model, or save a tokenizer with its "
    "chat_template set.",
    "no_end_token": "The tokenizer of %(source)s has neither a pad nor an end token. Set its "
    "eos_token.",
    "lacks_its_weights": "%(source)s lacks %(count)s of its weights, %(first)s among them. Copy "
    "the whole model, and check that config.json belongs to it.",
    "template_does_not_take": "The model's chat template does not take the prompt %(prompt)s: "
    "%(error)s. Many templates take no system message, or want user and assistant in turn.",
    "other_video_pipeline": "%(source)s is a %(name)s; this family takes models whose "
    "model_index.json says %(known)s, which make clips from words alone.",
    "films_nothing": "The model %(model)s is of family %(family)s, which makes no clips. Clips "
    "are made by: %(known)s.",
    "two_steps": "steps must be at least 2 for this model: its schedule has an end of its own.",
    "frames_of": "This model makes clips of a multiple of %(every)s frames and one; frames is "
    "%(frames)s. Set it to %(near)s.",
    "films_multiples": "%(name)s must be a multiple of %(multiple)s pixels for this model; it is "
    "%(length)s.",
    "gated_model": "%(source)s is behind a licence on the hub. Accept it there and set HF_TOKEN "
    "for the worker, or give a local folder.",
    "not_on_the_hub": "There is no model called %(source)s: neither a folder on this machine nor a "
    "name on the hub. Check the spelling; a private one needs HF_TOKEN.",
    "hub_unreachable": "%(source)s is not on this machine, and the hub could not be reached to "
    "fetch it. Check the name and the machine's connection, or give a local folder.",
    "broken_weights": "The weights of %(source)s are broken or half copied. Copy or download them "
    "again.",
    "nowhere": "There is no model called %(source)s: neither a folder on this machine nor a name "
    "on the hub. Check the spelling.",
    "needs_remote_code": "%(source)s needs Python code of its own to be run, which Steelyard does "
    "not do. Choose a model of an architecture that transformers knows.",
    "no_safetensors": "%(source)s has no weights in safetensors; other formats could run code. "
    "Convert them: load the model and call save_pretrained.",
    "other_model_type": "%(source)s is not %(what)s that transformers can load: look at model_type "
    "in its config.json.",
    "sees_nothing": "%(source)s is of type %(type)s, which is not a vision-language model that "
    "transformers can load. Choose one such as LLaVA, Qwen2.5-VL, SmolVLM or Gemma 3.",
    "lacks_library": "The processor of %(source)s needs a library that is not here: %(error)s. "
    "Choose a model of another type.",
    "pictures_of_nobody": "The prompt %(prompt)s has pictures but no message of a user that they "
    "belong to.",
    "template_takes_no_pictures": "The model's chat template does not take the prompt %(prompt)s: "
    "%(error)s. Some take no system message, or one picture alone, or none so small or so narrow.",
    "no_end_of_turn": "The model's chat template puts no end-of-turn token after an answer, and "
    "its tokenizer names no eos_token, so the model could not learn where to stop. Set eos_token "
    "in the tokenizer's files.",
    "no_image_processor": "%(source)s has no image processor beside its tokenizer, so it is not a "
    "vision-language model.",
    "no_processor_template": "The processor of %(source)s has no chat template, so it is not known "
    "how to put a question to this model. Use an instruct model, or save a processor with its "
    "chat_template set.",
    "no_win_rate": "The judge gave no verdict that could be read, so there is no win rate. %(why)s",
    "no_config": "%(source)s has no config.json, so it is not %(what)s. Give the folder that "
    "save_pretrained wrote.",
}
