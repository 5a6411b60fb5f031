"""Golden runs: what corpora, prompts and result rows were, to see what a refactoring changes.

``python -m tests.golden`` writes ``tests/data/golden.json`` anew; tests/test_golden.py compares.
Corpora are exact on every machine. Training is exact on one kind of CPU, which a probe tells by
the bits of a few operations; elsewhere numbers are compared to three decimals.
"""

import hashlib
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from tests.builds import DOCUMENTS, build, digests

FILE = Path(__file__).parent / "data" / "golden.json"
COLUMNS = ("id", "document_id", "text_a", "text_b", "options", "label")
FORMATS = ("sentence_pair", "multiple_choice", "sentiment", "unified")


def digest(data):
    return hashlib.sha256(data).hexdigest()[:32]


def corpora(folder):
    """Digests of the corpora of data/documents: of each file, and of the rows' own columns."""
    import pyarrow.parquet as pq

    output = folder / "corpora"
    build("--input", DOCUMENTS / "*.jsonl", "--output", output, "--validation_fraction", "0.1")
    files = {name: value[:32] for name, value in digests(output).items()
             if name.endswith((".parquet", ".json"))}  # fmt: skip
    rows = {}
    for name in FORMATS:
        tables = [pq.read_table(path, columns=list(COLUMNS))
                  for path in sorted((output / name).glob("*.parquet"))]  # fmt: skip
        table = pa.concat_tables(tables)
        text = json.dumps(table.to_pylist(), ensure_ascii=False)
        rows[name] = {"rows": table.num_rows, "content": digest(text.encode())}
    return {"files": files, "rows": rows}


def prompts(folder):
    """Digests and some numbers of prompts pre-trained on tiny random models."""
    from tests.test_pretrain import flags
    from tests.tiny import save_tiny
    from tests.toys import toy_corpus

    folder.mkdir(exist_ok=True)
    save_tiny(folder / "llama", max_position_embeddings=80)
    save_tiny(folder / "t5", "t5")
    toy_corpus(folder / "corpora" / "sentiment")
    toy_corpus(folder / "corpora" / "unified", "unified")
    runs = {
        "llama": {},
        "unified": {"format": "unified", "gradient_accumulation_steps": 2, "max_grad_norm": 0.5},
        "t5": {"model": folder / "t5", "optimizer": "adafactor", "learning_rate": 0.3},
        "residual": {"residual": 4, "lr_scheduler_type": "cosine", "warmup_steps": 3},
        "vocabulary": {"loss": "vocabulary", "early_stopping_patience": 1, "eval_steps": 2},
    }
    main = command("pretrain")
    made = {}
    for name, changes in runs.items():
        output = folder / "runs" / name
        assert main(flags(folder, output, **changes)) == 0
        weights = (output / "prompt" / "adapter_model.safetensors").read_bytes()
        metrics = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        for row in metrics:
            row.pop("examples_per_second", None)
        made[name] = {
            "weights": digest(weights),
            "metrics": digest(json.dumps(metrics).encode()),
            "numbers": [round(row["loss"], 4) for row in metrics],
        }
    return made


def command(name):
    """The command's `main`, wherever it stands."""
    import importlib

    module = {"fewshot": "fewshot.__main__"}.get(name, name)
    return importlib.import_module(f"ppt.{module}").main


def results(folder):
    """Digests and some numbers of the rows of few-shot grids on tiny random models."""
    from ppt.methods import METHODS
    from tests.few import ALONE, toy_place
    from tests.test_fewshot import flags

    folder.mkdir(exist_ok=True)
    toy_place(folder)
    # as recorded before deep prompts came, which not every backbone takes
    known = ",".join(name for name in ALONE if METHODS[name].trains != "kv")
    grids = {
        "llama": {"methods": known},
        "t5": {"methods": known, "model": "t5"},
        "grid": {"methods": "prompt_tuning,ppt", "grid": "method", "seeds": 3, "side_by_side": 4,
                 "max_test_examples": 9, "early_stopping_patience": 1, "max_steps": 6},
    }  # fmt: skip
    main = command("fewshot")
    made = {}
    for name, changes in grids.items():
        output = folder / "results" / name
        assert main(flags(folder, output, **changes)) == 0
        lines = (output / "results.jsonl").read_text().replace(str(folder), "")
        rows = [json.loads(line) for line in lines.splitlines()]
        for row in rows:
            for varying in ("seconds", "run", "init_digest"):
                row.pop(varying)
        made[name] = {
            "rows": digest(json.dumps(rows).encode()),
            "numbers": [round(row["test"]["loss"], 4) for row in rows],
        }
    return made


def machine():
    """What tells two kinds of CPU apart: the bits of operations that differ on them."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(48, 48, generator=generator) for _ in range(2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        made = [left @ right, left.exp(), left.softmax(-1), left.rsqrt().nan_to_num(),
                torch.nn.functional.gelu(left), torch.nn.functional.silu(left)]  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    bits = b"".join(np.ascontiguousarray(one.numpy()).tobytes() for one in made)
    return digest(bits + re.sub(r"\+.*", "", torch.__version__).encode())


def record(folder):
    """Everything."""
    return {
        "machine": machine(),
        "corpora": corpora(folder),
        "prompts": prompts(folder / "pretraining"),
        "results": results(folder / "few-shot"),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        FILE.write_text(json.dumps(record(Path(scratch)), indent=1) + "\n")
