"""The README.md beside a corpus: a dataset card that hubs and people read."""

from ppt.corpus.formats import LABEL_WORDS
from ppt.corpus.storage import SPLITS, Manifest

_WHAT = {
    "sentence_pair": "Two sentences `text_a`, `text_b`: adjacent in a document (yes), of one "
    "document but not adjacent (maybe), of two documents (no).",
    "multiple_choice": "`text_a` and six `options`: one is adjacent to it in its document (the "
    "answer), one more is of the same document, four are of others.",
    "sentiment": "A sentence `text_a` with a five-class pseudo-label, kept where the labeller "
    "was confident, classes balanced.",
    "unified": "Multiple choice with 2 to 16 `options`: n-way selection of the adjacent "
    "sentence, and sentence pairs and sentiment with their label words as options.",
}


def dataset_card(manifest: Manifest) -> str:
    """Markdown with the YAML head that the Hugging Face hub reads."""
    rows = manifest.rows
    documents = manifest.documents
    config = manifest.config
    files = "\n".join(
        f"  - split: {split}\n    path: {split}-*.parquet" for split in SPLITS if rows[split]
    )
    drops = "\n".join(f"| {why} | {n:,} |" for why, n in manifest.examples["drops"].items() if n)
    return f"""---
configs:
- config_name: default
  data_files:
{files}
---

# {manifest.format}: a self-supervised corpus for pre-trained prompt tuning

{_WHAT[manifest.format]}
`label` indexes {", ".join(LABEL_WORDS[manifest.format])}.

| | |
|---|---|
| examples | {rows["train"]:,} train, {rows["validation"]:,} validation (split by document) |
| documents | {documents["read"]:,} read = {documents["kept"]:,} kept + \
{sum(documents["rejected"].values()):,} rejected + {documents["duplicates"]:,} duplicates |
| sentences | {manifest.sentences["read"]:,} read, {manifest.sentences["usable"]:,} usable |
| splitter, labeller | {config["splitter"]}, {config["labeller"]} |
| seed | {config["seed"]} |

| anchors that gave no example | |
|---|---|
{drops or "| none | 0 |"}

```python
from datasets import load_dataset

corpus = load_dataset("parquet", data_files={{"train": "train-*.parquet"}}, split="train")
print(corpus.features["label"].names, corpus[0])
```

Built by `python -m pipelines.build_corpus`; every flag and count is in `manifest.json`.
"""
