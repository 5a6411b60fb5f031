"""From an example to tokens, and the soft prompt before them.

In come rows of a corpus or task and a tokenizer; out go batches with one mask each, label
words as tokens, initial prompts, and PEFT adapters on disk. No model is run here.
Read `patterns` first, then `rendering`, `soft`, `files`; `spans` cuts raw text.
"""
