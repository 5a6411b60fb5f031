"""A trial's id: of what differs from the defaults, so that what is finished stays finished."""

import dataclasses
import math
from dataclasses import MISSING, dataclass, field, fields

import pytest

from ppt.base.flags import at_least, flag
from ppt.fewshot import grid
from ppt.fewshot.grid import content_digest
from ppt.fewshot.running import Grid
from ppt.fewshot.settings import FewshotConfig
from ppt.methods import METHODS, PROMPT_RATES, Method
from ppt.prompts.patterns import PATTERNS_VERSION
from ppt.results import trial as trials
from ppt.results.trial import ID_VERSION, Trial, changed, digest
from ppt.tasks.loading import TaskData
from ppt.tasks.spec import Columns, Files, Label, Task
from ppt.tasks.table import TASKS_VERSION
from ppt.training.settings import DECAYS, STEPS

VERSIONS = {"patterns": 2, "tasks": 1}


def task_data(**changes):
    labels = (Label("0", "bad", "terrible"), Label("1", "good", "great"))
    usual = {"name": "toy", "format": "sentiment", "labels": labels,
             "columns": Columns(("text",)), "source": Files("train.jsonl")}  # fmt: skip
    rows = tuple(
        {"id": str(i), "text_a": f"text {i}", "text_b": "", "options": [], "label": i % 2}
        for i in range(8)
    )
    task = changes.pop("task", None) or Task(**{**usual, **changes})
    return TaskData(task, rows[:6], rows[6:], (), {}, {})


def id_of(method="ppt", config=None, content="c", prompt="p", rate=0.002, **place):
    config = config or FewshotConfig(tasks="sst2")
    place = {"task": "sst2", "shots": 32, "seed": 0, **place}
    known = {"flags": config.decisive(), "versions": VERSIONS, "content": content,
             "prompt": prompt}  # fmt: skip
    return Trial(method=method, learning_rate=rate, **place).named(known).id


GOLDEN = {
    "ppt": "c1ab05fcbe8952ff",
    "zero_shot": "41da97654c044ceb",
    "ensemble_vote": "c880f5eb858cff6a",
    "lora": "b8259063e1cd9ebf",
    "flags": "37c05b457319c29f",
    "content": "19142dd09e1bacb3",
    "content of an own pattern": "62488b6fa0a9130c",
}


def golden():
    other = FewshotConfig(tasks="sst2", max_steps=96, weight_decay=0.01, init_text="It was ü")
    return {
        "ppt": id_of(),
        "zero_shot": id_of("zero_shot", prompt=None, rate=None),
        "ensemble_vote": id_of("ensemble_vote", prompt=None, rate=0.005, shots=64, seed=3),
        "lora": id_of("lora", prompt=None, rate=1e-3, task="cb"),
        "flags": id_of(config=other),
        "content": content_digest(task_data())[:16],
        "content of an own pattern": content_digest(
            task_data(patterns={"suffix": "{text_a} is {mask}"}, balance="level")
        )[:16],
    }


def test_ids_are_what_they_were():
    """Other ids make every finished run again: raise ID_VERSION only where numbers change."""
    assert golden() == GOLDEN


DEFAULTS = {
    FewshotConfig: {
        "dtype": "auto", "loss": "verbalizer", "optimizer": "adamw",
        "lr_scheduler_type": "constant", "warmup_steps": 0, "weight_decay": None,
        "pull": 0.0, "max_grad_norm": 1.0, "per_device_train_batch_size": 16, "max_steps": 48,
        "eval_steps": 8,
        "metric_for_best_model": "method", "early_stopping_patience": 0,
        "max_test_examples": None, "max_length": 256, "model": "smollm2-135m",
        "context_length": 1024, "prompt_length": 20, "init_text": None, "answers": "letters",
        "residual": 0, "target": "cloze",
    },
    Method: {
        "trains": "prompt", "style": "soft", "unified": False, "init": "vocabulary",
        "demonstrations": False, "calibrated": False, "members": 1, "combine": None,
        "transfer": None, "nearest": 0, "source": None, "named": False,
        "token_dropout": 0.0, "metric": "accuracy",
    },
    Task: {"language": "en", "balance": "equal", "patterns": {}},
    Label: {},
}  # fmt: skip
"""What ids of version 1 take for granted."""


def defaults_of(kind):
    """The defaults of the fields that an id takes in."""
    aside = {Method: trials.ASIDE, Task: grid.ASIDE}.get(kind, ())
    found = {}
    for one in fields(kind):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if default is not MISSING and one.name not in aside and not one.metadata.get("free"):
            found[one.name] = default
    return found


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_a_changed_default_is_noticed(kind):
    """Raise ID_VERSION, and record here what then is so; what is new is only to be recorded."""
    assert ID_VERSION == 1
    assert defaults_of(kind) == DEFAULTS[kind]


def test_defaults_that_flags_leave_open_are_noticed_too():
    known = {name: (PROMPT_RATES[name], decay) for name, decay in DECAYS.items()}
    assert known == {"adamw": (5e-3, 0.0), "adafactor": (0.3, 1e-5)}


def test_another_version_gives_other_ids(monkeypatch):
    monkeypatch.setattr(trials, "ID_VERSION", 2)
    assert not set(golden().values()) & {GOLDEN[name] for name in ("ppt", "zero_shot", "lora")}


@dataclass(frozen=True, kw_only=True)
class LaterConfig(FewshotConfig):
    """With a flag of tomorrow."""

    dropout: float = flag("tomorrow's", group=STEPS, default=0.0, rule=at_least(0))


@dataclass(frozen=True)
class LaterMethod(Method):
    """With a column of tomorrow."""

    depth: int = 1


@dataclass(frozen=True, slots=True)
class LaterLabel(Label):
    """With a field of tomorrow."""

    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class LaterTask(Task):
    """With a field of tomorrow."""

    metric: str = "accuracy"
    options: dict[str, int] = field(default_factory=dict)


def test_what_is_added_with_a_default_leaves_ids_as_they_are(monkeypatch):
    for name, method in METHODS.items():
        monkeypatch.setitem(METHODS, name, LaterMethod(**vars(method)))
    assert golden() == GOLDEN
    config = LaterConfig(tasks="sst2")
    assert id_of(config=config) == GOLDEN["ppt"]
    old = task_data().task
    labels = tuple(LaterLabel(one.value, one.name, one.word) for one in old.labels)
    task = LaterTask(**{**vars(old), "labels": labels})
    assert content_digest(task_data(task=task))[:16] == GOLDEN["content"]

    changes = [
        id_of(config=dataclasses.replace(config, dropout=0.1)),
        content_digest(task_data(task=dataclasses.replace(task, metric="f1")))[:16],
        content_digest(task_data(task=dataclasses.replace(task, options={"a": 1})))[:16],
        content_digest(task_data(task=dataclasses.replace(
            task, labels=(labels[0], dataclasses.replace(labels[1], also=("fine",))))))[:16],
    ]  # fmt: skip
    monkeypatch.setitem(METHODS, "ppt", LaterMethod(**vars(METHODS["ppt"]) | {"depth": 2}))
    assert len({id_of(), *changes} | set(GOLDEN.values())) == len(changes) + 1 + len(GOLDEN)


DECISIVE = {
    "dtype": "float32", "loss": "vocabulary", "optimizer": "adafactor",
    "lr_scheduler_type": "linear", "warmup_steps": 1, "weight_decay": 0.0, "pull": 3.0,
    "max_grad_norm": 0,
    "per_device_train_batch_size": 8, "max_steps": 47, "eval_steps": 4,
    "metric_for_best_model": "loss", "early_stopping_patience": 2, "max_test_examples": 9,
    "max_length": 128, "model": "gpt2", "context_length": 512, "prompt_length": 4,
    "init_text": "It was", "answers": "texts", "residual": 8, "target": "word",
}  # fmt: skip


def test_every_decisive_flag_and_every_coordinate_changes_the_id():
    assert DECISIVE.keys() == DEFAULTS[FewshotConfig].keys()
    ids = [id_of(config=FewshotConfig(tasks="sst2", **{name: value}))
           for name, value in DECISIVE.items()]  # fmt: skip
    ids += [id_of(), id_of("hybrid_ppt"), id_of(task="cb"), id_of(shots=16), id_of(seed=1)]
    ids += [id_of(rate=0.003), id_of(content="d"), id_of(prompt="q"), id_of(prompt=None)]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": "sst2,rte"}, {"seeds": 9}, {"shots": "16,32"}, {"methods": "ppt"},
        {"output_dir": "elsewhere"}, {"device": "cpu"}, {"threads": 1}, {"side_by_side": 1},
        {"tokens_at_once": 10}, {"grid": "0.1"}, {"overwrite_output_dir": True},
        {"max_steps": 48, "max_grad_norm": 1},
    ],
)  # fmt: skip
def test_what_decides_no_number_leaves_the_id(change):
    assert id_of(config=FewshotConfig(**{"tasks": "sst2", **change})) == GOLDEN["ppt"]


def test_words_and_rates_of_a_method_leave_the_id(monkeypatch):
    other = dataclasses.replace(METHODS["ppt"], summary="in other words", rates={"sgd": 1.0})
    monkeypatch.setitem(METHODS, "ppt", other)
    assert id_of() == GOLDEN["ppt"]


def test_where_a_task_was_read_leaves_its_digest():
    known = content_digest(task_data())
    same = {"name": "mine", "source": Files("b/train.csv"), "columns": Columns(("review",), id="n")}
    assert content_digest(task_data(**same)) == known
    for change in ({"language": "zh"}, {"labels": task_data().task.labels[::-1]}):
        assert content_digest(task_data(**change)) != known
    data = task_data()
    fewer = dataclasses.replace(data, test=data.test[:1])
    moved = dataclasses.replace(data, train=data.train[:-1], test=(data.train[-1], *data.test))
    assert len({known, content_digest(fewer), content_digest(moved)}) == 3


def test_the_digest_has_one_spelling():
    assert digest({"a": 1.0, "b": (1, 2)}) == digest({"b": [1, 2], "a": 1})
    unlike = [0.1, 0.2, 1, True, None, "1", [1], {"1": 1}, {}, [], "", "ü", "u\u0308", 10**20, 1e-7]
    assert len({digest(one) for one in unlike}) == len(unlike)
    assert digest("\ud800") != digest("\udc00")
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"a": math.nan})
    with pytest.raises(TypeError):
        digest({"a": object()})


def test_a_plan_names_its_trials_by_flags_content_and_prompt():
    config = FewshotConfig(tasks="toy", seeds=2, max_steps=9)
    one, two = Grid(config, {"toy": task_data()}, {("toy", "prompt_tuning"): None}).trials
    known = {"flags": {"max_steps": 9}, "content": content_digest(task_data()),
             "versions": {"patterns": PATTERNS_VERSION, "tasks": TASKS_VERSION}}  # fmt: skip
    assert one == Trial("toy", "prompt_tuning", 32, 0, 5e-3).named(known)
    assert two == Trial("toy", "prompt_tuning", 32, 1, 5e-3).named(known)
    assert changed(config) == {"tasks": "toy", "seeds": "2", "max_steps": 9}
