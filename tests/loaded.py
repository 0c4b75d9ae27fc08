"""What engines load, for the process from which the engines of tests are forked.

Classes are named where a library loads its parts only when they are asked for.
"""

from __future__ import annotations

import gc
import importlib
import os

# read when it is imported; no engine of a test has business on the Hub
os.environ["HF_HUB_OFFLINE"] = "1"

# none of it is ever garbage, here or in an engine that is forked
gc.disable()
for _module, _names in {
    "torch": (),
    "transformers": ("AutoModelForCausalLM", "AutoTokenizer", "LlamaForCausalLM"),
    "evaluation.engine.generate": (),
    "steelyard.inference.judging.local": (),
    "training.engine.text": (),
    "training.engine.diffusion": (),
}.items():
    _loaded = importlib.import_module(_module)
    for _name in _names:
        getattr(_loaded, _name)

# An endpoint that is dead is asked again after twentieths of a second, not after 1, 2, 4, 8 and 16.
from steelyard.inference.endpoint import Endpoint  # noqa: E402

Endpoint.__init__.__kwdefaults__["first_wait"] = 0.05
gc.enable()
gc.freeze()
