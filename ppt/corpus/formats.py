"""The formats of corpora, by name."""

LABEL_WORDS: dict[str, tuple[str, ...]] = {
    "sentence_pair": ("no", "maybe", "yes"),
    "multiple_choice": tuple("ABCDEF"),
    "sentiment": ("terrible", "bad", "maybe", "good", "great"),
    "unified": tuple("ABCDEFGHIJKLMNOP"),
}
"""The formats, and the label words that a `label` column indexes in each."""
