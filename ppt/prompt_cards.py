"""What is told of a trained prompt: the README.md beside it, and the table on screen."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from ppt.evaluation import Evaluation
from ppt.markdown import markdown_table


def scores_rows(first: Evaluation, best: Evaluation) -> list[tuple[str, str, str, str]]:
    """(what, before, after, chance): loss, accuracy, and accuracy by options where they differ."""
    rows = [
        ("validation loss", f"{first.loss:.4f}", f"{best.loss:.4f}", ""),
        ("accuracy", f"{first.accuracy:.3f}", f"{best.accuracy:.3f}", f"{best.chance:.3f}"),
    ]
    if len(best.by_options) > 1:
        for count, after in best.by_options.items():
            before = first.by_options[count]
            rows.append(
                (
                    f"accuracy, {count} options (n = {after['rows']})",
                    f"{before['accuracy']:.3f}",
                    f"{after['accuracy']:.3f}",
                    f"{after['chance']:.3f}",
                )
            )
    return rows


def scores_table(first: Evaluation, best: Evaluation) -> Table:
    """The scores before and after, for the terminal."""
    table = Table(title=f"{best.rows:,} validation examples", title_justify="left")
    table.add_column("")
    for name in ("step 0", f"step {best.step} (best)", "chance"):
        table.add_column(name, justify="right")
    for row in scores_rows(first, best):
        table.add_row(*row)
    return table


def prompt_card(
    *,
    base_model: str,
    facts: Mapping[str, Any],
    flags: Mapping[str, Any],
    first: Evaluation,
    best: Evaluation,
) -> str:
    """Markdown with the YAML head that the Hugging Face hub reads."""
    scores = markdown_table(
        ("", "step 0", f"step {best.step} (best)", "chance"), scores_rows(first, best)
    )
    shown = ((f"`--{name}`", f"`{value}`") for name, value in flags.items() if value is not None)
    return f"""---
base_model: {base_model}
library_name: peft
tags:
- prompt-tuning
- pre-trained-prompt-tuning
---

# A pre-trained soft prompt

The folder `prompt/` is a PEFT adapter; the backbone stays as it is.

```python
from peft import PeftModel

model = PeftModel.from_pretrained(backbone, "prompt")  # backbone: {base_model}
```

{markdown_table(("", ""), facts.items())}

## Scores on {best.rows:,} validation examples

{scores}

![loss and accuracy](loss.png)

## Flags

{markdown_table(("flag", "value"), shown)}
"""
