"""Synthetic results: what a few-shot grid could have written, drawn at random, nothing trained."""

import hashlib
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

METHODS = (
    "zero_shot", "in_context", "prompt_tuning", "hybrid_prompt_tuning", "ppt", "hybrid_ppt",
    "unified_ppt", "ensemble_vote", "lora", "fine_tuning",
)  # fmt: skip
TASKS = {
    "sst2": ("negative", "positive"),
    "sst5": ("terrible", "bad", "okay", "good", "great"),
    "race_middle": ("A", "B", "C", "D"),
    "race_high": ("A", "B", "C", "D"),
    "boolq": ("no", "yes"),
    "rte": ("entailment", "not entailment"),
    "cb": ("entailment", "contradiction", "neutral"),
    "reviews_de": ("schlecht", "gut"),
}
TEXTS = (
    "<script>alert('text is no code')</script> & \"quotes\" It was <X>.",
    "Unvergesslich 🎬👩‍👩‍👧 — ein Film, der bleibt. Es war <X>.",
    "فيلم رائع حقًا، أنصح به. كان <X>.",
    "right to left override \u202e stays inside \x00\x07 its box. <X>",
    "A short one. <X>",
)
TEST_ROWS = 200


def synthetic_run(task, method, shots, seed, rate, *, steps=48, skill=None, labels=None):
    """One line of results.jsonl as a dict, the same for the same arguments."""
    labels = labels or TASKS.get(task, ("no", "yes"))
    name = json.dumps([task, method, shots, seed, rate])
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    entropy = list(f"{task} zero".encode()) if method == "zero_shot" else int(digest[:8], 16)
    rng = np.random.default_rng(entropy)
    chance, places = 1 / len(labels), list(METHODS)
    place = places.index(method) if method in places else 4
    if method == "zero_shot":
        skill = 0.2
    if skill is None:
        skill = 0.15 + 0.05 * place + 0.06 * math.log2(shots / 8) + rng.normal(0, 0.06)
        skill -= 0.1 * abs(math.log10((rate or 1e-3) / 1e-3))
    accuracy = chance + (1 - chance) * min(max(skill, 0.02), 0.98)
    confusion = _confusion(rng, labels, accuracy)
    trained = rate is not None
    curve = _curve(rng, chance, accuracy, steps) if trained else []
    train = [
        {"step": step, "loss": 1.2 * math.exp(-step / 20) + abs(rng.normal(0, 0.1))}
        for step in range(1, steps + 1)
    ]
    best = max(curve, key=lambda p: (p["accuracy"], -p["loss"])) if trained else None
    validation = {
        "loss": best["loss"] if best else 0.7,
        "accuracy": best["accuracy"] if best else round(accuracy, 2),
        "macro_f1": accuracy,
        "rows": 32,
    }
    right = int(np.trace(confusion))
    f1 = _macro_f1(confusion)
    return {
        "run": digest, "task": task, "method": method, "shots": shots, "seed": seed,
        "learning_rate": rate, "model": "synthetic", "format": "sentiment",
        "style": "hybrid" if "hybrid" in method else "soft",
        "init": "runs/sentiment/prompt" if "ppt" in method else None,
        "init_digest": None, "demonstrations": None, "members": 5 if "ensemble" in method else 1,
        "labels": list(labels), "chance": chance, "test_rows": TEST_ROWS, "validation": validation,
        "test": {"loss": 0.6, "accuracy": right / TEST_ROWS, "macro_f1": f1, "rows": TEST_ROWS},
        "confusion": confusion.tolist(), "curve": curve, "train_curve": train if trained else [],
        "steps": steps if trained else 0, "best_step": best["step"] if best else 0,
        "stopped_early": False, "diverged": False,
        "seconds": round(float(rng.uniform(5, 60)), 2), "parameters": 11520 if trained else 0,
        "adapter": f"adapters/{digest}" if trained else None,
    }  # fmt: skip


def synthetic_grid(tasks=("sst2", "cb"), methods=METHODS, shots=(32,), seeds=5, rates=(1e-3,)):
    """The runs of a whole grid; two methods train nothing, zero-shot is the same for all seeds."""
    return [
        synthetic_run(task, method, k, seed, rate)
        for task in tasks
        for method in methods
        for k in shots
        for seed in range(seeds)
        for rate in ((None,) if method in {"zero_shot", "in_context"} else rates)
    ]


def write_results(folder, runs, *, predictions=True):
    """Write results.jsonl, and predictions.parquet that agree with it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(run) + "\n" for run in runs)
    (folder / "results.jsonl").write_text(text, encoding="utf-8")
    if predictions:
        rows = [row for run in runs for row in synthetic_predictions(run)]
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / "predictions.parquet")
    return folder


SCHEMA = pa.schema(
    [
        ("run", pa.string()), ("task", pa.string()), ("method", pa.string()),
        ("shots", pa.int64()), ("seed", pa.int64()), ("learning_rate", pa.float64()),
        ("id", pa.string()), ("text", pa.string()), ("label", pa.string()),
        ("prediction", pa.string()), ("probability", pa.float64()), ("correct", pa.bool_()),
    ]
)  # fmt: skip


def synthetic_predictions(run, texts=TEXTS):
    """The rows of predictions.parquet of a run: as many as its confusion counts."""
    rng = np.random.default_rng(int(run["run"][:8], 16))
    labels, number = run["labels"], 0
    for i, row in enumerate(run["confusion"]):
        for j, count in enumerate(row):
            for _ in range(count):
                yield {
                    **{key: run[key] for key in SCHEMA.names[:6]},
                    "id": f"{run['task']}-{number:04}",
                    "text": f"{texts[number % len(texts)]} ({number})",
                    "label": labels[i],
                    "prediction": labels[j],
                    "probability": float(rng.uniform(1 / len(labels), 1)),
                    "correct": i == j,
                }
                number += 1


def _confusion(rng, labels, accuracy):
    size = len(labels)
    table = np.zeros((size, size), dtype=int)
    for label in rng.integers(size, size=TEST_ROWS):
        wrong = (label + rng.integers(1, size)) % size
        table[label, label if rng.random() < accuracy else wrong] += 1
    return table


def _macro_f1(table):
    right, said, are = np.diag(table), table.sum(0), table.sum(1)
    return float((2 * right / np.maximum(said + are, 1)).mean())


def _curve(rng, chance, accuracy, steps):
    points = []
    for step in range(0, steps + 1, max(1, steps // 16)):
        done = 1 - math.exp(-3 * step / steps)
        mean = chance + (accuracy - chance) * done
        points.append({
            "step": step,
            "loss": 1.4 - 0.9 * done + abs(rng.normal(0, 0.08)),
            "accuracy": round(min(max(mean + rng.normal(0, 0.04), 0), 1) * 32) / 32,
        })  # fmt: skip
    return points
