"""The README.md beside a corpus: a dataset card that hubs and people read."""

from collections.abc import Mapping

from ppt.base.markdown import markdown_table
from ppt.corpus.formats import FORMATS
from ppt.corpus.manifest import SPLITS, Manifest
from ppt.errors import visible

CARD = "README.md"

BASELINES = {"overlap": "by shared words", "form": "without the anchor"}
"""Those of a manifest's `shortcuts`, in words."""


def shortcuts_told(of: Mapping[str, float]) -> str:
    """A line of a manifest's `shortcuts`."""
    found = [f"{of[name]:.2f} {told}" for name, told in BASELINES.items() if name in of]
    return f"{', '.join(found)}, chance {of.get('chance', 0):.2f}, on {of.get('rows', 0):,.0f} rows"


def mixture_told(mixture: Mapping[str, Mapping[str, float]]) -> str:
    """A line of a manifest's `mixture`."""
    found = (
        f"{kind} {of.get('met', 0):.0%} of {of.get('asked', 0):.0%}" for kind, of in mixture.items()
    )
    return f"met of what was asked: {', '.join(found)}"


def dataset_card(manifest: Manifest) -> str:
    """Markdown with the YAML head that the Hugging Face hub reads."""
    known = FORMATS[manifest.format]
    rows = manifest.rows
    documents, sentences = manifest.documents, manifest.sentences
    config = manifest.config
    files = "\n".join(
        f"  - split: {split}\n    path: {split}-*.parquet" for split in SPLITS if rows[split]
    )
    kinds = ", ".join(f"{sum(manifest.count('kinds', kind)):,} {kind}" for kind in known.kinds)
    drops = {why: f"{n:,}" for why, n in manifest.examples["drops"].items() if n} or {"none": "0"}
    lacking = "".join(f"Warning: {visible(warning)}\n\n" for warning in manifest.warnings)
    rejected = sum(documents["rejected"].values())
    shortcuts = {
        f"solved without reading, {kind}": shortcuts_told(of)
        for kind, of in manifest.shortcuts.items()
    }
    mixed = {"mixture": mixture_told(manifest.mixture)} if manifest.mixture else {}
    facts = {
        "examples": f"{rows['train']:,} train, {rows['validation']:,} validation "
        f"(split by {'cluster' if manifest.near_duplicates else 'document'})",
        "`kind`": kinds,
        "documents": f"{documents['read']:,} read = {documents['kept']:,} kept + {rejected:,} "
        f"rejected + {documents['duplicates']:,} duplicates",
        **_relations(manifest),
        "sentences": f"{sentences['read']:,} read, {sentences['usable']:,} usable",
        "splitter, labeller": visible(f"{config['splitter']}, {config['labeller']}"),
        "seed": config["seed"],
        **mixed,
        **shortcuts,
    }
    return f"""---
configs:
- config_name: default
  data_files:
{files}
---

# {manifest.format}: a self-supervised corpus for pre-trained prompt tuning

{known.summary}
`label` indexes {", ".join(known.words)}.

{markdown_table(("", ""), facts.items())}

{lacking}{markdown_table(("anchors that gave no example", ""), drops.items())}

```python
from datasets import load_dataset

corpus = load_dataset("parquet", data_files={{"train": "train-*.parquet"}}, split="train")
print(corpus.features["label"].names, corpus[0])
```

Built by `python -m pipelines.build_corpus`; every flag and count is in `manifest.json`.
"""


def _relations(manifest: Manifest) -> dict[str, str]:
    """How documents relate to each other, and to what is tested on."""
    config, near = manifest.config, manifest.near_duplicates
    shared = manifest.sentences.get("shared_with", {})
    excluded = [
        f"{shared.get(one['name'], 0):,} {'more' if place else 'sentences'} that share words with "
        f"{visible(one['name'])}"
        for place, one in enumerate(config.get("excluded", ()))
    ]
    return {
        "near duplicates": f"{near['documents']:,} documents in {near['clusters']:,} clusters; "
        f"{near['over_the_split']:,} over the split ({config['near_duplicates']})"
        if near
        else "not looked for",
        "excluded": ", ".join(excluded) or "nothing",
    }
