"""A model is asked which of two answers is better: the question, in both orders, and what its
answers come to. No labels, no pages: whoever asks says what becomes of the verdicts."""
