"""Pre-trained prompt tuning: corpora in, prompt checkpoints out, few-shot results at the end."""

__version__ = "0.1.0"
