"""The README.md beside a corpus: a dataset card that hubs and people read."""

from ppt.corpus.formats import FORMATS
from ppt.corpus.storage import SPLITS, Manifest


def dataset_card(manifest: Manifest) -> str:
    """Markdown with the YAML head that the Hugging Face hub reads."""
    known = FORMATS[manifest.format]
    rows = manifest.rows
    documents = manifest.documents
    config = manifest.config
    files = "\n".join(
        f"  - split: {split}\n    path: {split}-*.parquet" for split in SPLITS if rows[split]
    )
    kinds = ", ".join(f"{sum(manifest.count('kinds', kind)):,} {kind}" for kind in known.kinds)
    drops = "\n".join(f"| {why} | {n:,} |" for why, n in manifest.examples["drops"].items() if n)
    return f"""---
configs:
- config_name: default
  data_files:
{files}
---

# {manifest.format}: a self-supervised corpus for pre-trained prompt tuning

{known.summary}
`label` indexes {", ".join(known.words)}.

| | |
|---|---|
| examples | {rows["train"]:,} train, {rows["validation"]:,} validation (split by document) |
| `kind` | {kinds} |
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
