"""Commands as dataclasses: flags, JSON, one-line errors."""

import dataclasses
import json

import pytest

from ppt.backbones.base import LOSSES
from ppt.base.flags import at_home, differing, from_json, parse, to_json
from ppt.corpus.formats import FORMATS
from ppt.errors import ConfigError, exit_status
from ppt.methods import PROMPT_RATES
from ppt.training.optimizers import MAKERS, SCHEDULES, rate
from ppt.training.settings import DECAYS, PretrainConfig, TrainSettings
from ppt.training.shared import LM
from tests.toys import settings


def read(*argv):
    return parse(PretrainConfig, argv, prog="pretrain", description="What it does.")


def test_a_flag_is_a_field_is_a_json_key():
    config = read("--format=unified", "--learning_rate", "1e-3", "--tensorboard", "false",
                  "--overwrite_output_dir", "--max_eval_examples=auto")  # fmt: skip
    assert config == PretrainConfig(
        format="unified", learning_rate=1e-3, tensorboard=False, overwrite_output_dir=True,
        max_eval_examples=None,
    )  # fmt: skip
    assert from_json(PretrainConfig, to_json(config)) == config
    assert set(json.loads(to_json(config))) == {f.name for f in dataclasses.fields(config)}


def test_what_is_left_open_depends_on_the_rest():
    config = read("--format=unified", "--optimizer=adafactor").resolved()
    assert (config.learning_rate, config.weight_decay) == (0.3, 1e-5)
    assert (config.corpus, config.output_dir) == ("corpora/unified", "runs/unified")
    assert read("--format=unified", "--learning_rate=1").resolved().learning_rate == 1
    assert config.resolved() == config


def test_paths_at_home_are_found_after_a_flags_name(monkeypatch):
    """Shells leave ``--output_dir=~/runs`` as it is, and so a folder ``~`` was made."""
    monkeypatch.setenv("HOME", "/home/me")
    given = read("--format=unified", "--output_dir=~/runs", "--model=~/m", "--init=a~/b")
    assert (given.output_dir, given.model, given.init) == ("/home/me/runs", "~/m", "a~/b")
    assert at_home("~/a,b~/c,~/d") == "/home/me/a,b~/c,/home/me/d"


def test_every_flag_has_a_help_with_its_default(capsys):
    with pytest.raises(SystemExit) as done:
        read("--help")
    assert done.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for field in dataclasses.fields(PretrainConfig):
        assert f"--{field.name} " in text
        assert field.metadata["help"].split("\n")[0][:20] in text
    assert "(default: 0.005 for adamw, 0.3 for adafactor)" in text
    assert text.index("the data:") < text.index("the optimizer:") < text.index("the machine:")


BAD = {
    "--learning_rate=0": "--learning_rate: got 0.0, expected a number above 0, up to 1,000,000.",
    "--learning_rate=nan": "--learning_rate: got nan, expected a finite number.",
    "--learning_rate=fast": "--learning_rate: got 'fast', expected a number.",
    "--max_steps=1.5": "--max_steps: got '1.5', expected a whole number.",
    "--max_steps=0": "--max_steps: got 0, expected 1 or more.",
    "--max_steps": "argument --max_steps: expected one argument; --help shows all flags.",
    "--optimizer=adam": "--optimizer: got 'adam', expected one of adamw, adafactor."
    " Did you mean 'adamw'?",
    "--learning-rate=1": "unknown argument --learning-rate=1. Did you mean --learning_rate?"
    " --help shows all flags.",
    "--learn=1": "unknown argument --learn=1. --help shows all flags.",
    "corpora": "unknown argument corpora. --help shows all flags.",
    "--tensorboard=maybe": "--tensorboard: got 'maybe', expected true or false.",
    "--warmup_steps=501": "--warmup_steps: got 501, expected at most --max_steps (500).",
    "--init=": "--init: got '', expected a name such as vocabulary.",
    f"--max_steps={2**127}": "--max_steps: got a number of 128 bits, expected 127 at most.",
    "--output_dir=": "--output_dir: got '', expected text.",
    "--seed=-1": "--seed: got -1, expected 0 to 2**63 - 1.",
    "--verify=quick": "--verify: got 'quick', expected one of fast, full.",
}


@pytest.mark.parametrize(("flag", "message"), BAD.items())
def test_a_bad_flag_is_one_line_and_exit_code_2(flag, message, capsys):
    assert exit_status(lambda: read("--format=unified", flag) and 0) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    if message.startswith("unknown argument --learn=1"):
        assert error.startswith("error: unknown argument --learn=1.")
    else:
        assert error == f"error: {message}\n"


def test_the_format_is_required_and_named():
    with pytest.raises(ConfigError, match="--format is missing: give it as --format=sentence_pair"):
        read()
    with pytest.raises(ConfigError, match="Did you mean 'unified'"):
        read("--format=unifed")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "got a JSON list"),
        ("{", "no JSON"),
        ("{}", "'format' is missing"),
        ('{"format": "unified", "seeds": 1}', "unknown key seeds. Did you mean seed?"),
        ('{"format": "unified", "seed": "1"}', "--seed: got '1', expected a whole number"),
        ('{"format": "unified", "seed": true}', "--seed: got True, expected a whole number"),
        (f'{{"format": "unified", "seed": -1{"0" * 4000}}}', "--seed: got a number of 13288 bits"),
        ('{"format": "unified", "max_steps": null}', "--max_steps: got None, expected"),
    ],
)
def test_json_is_checked_like_flags(text, message):
    with pytest.raises(ConfigError) as error:
        from_json(PretrainConfig, text)
    assert message in str(error.value)


def test_only_what_decides_the_result_must_be_equal_to_resume():
    one = read("--format=unified")
    other = dataclasses.replace(one, output_dir="x", corpus="y", threads=1, save_steps=7)
    assert differing(one, other) == []
    assert differing(one, dataclasses.replace(one, seed=1, loss="vocabulary")) == ["loss", "seed"]


def test_tables_agree_with_what_they_name():
    choices = {f.name: f.metadata["choices"] for f in dataclasses.fields(PretrainConfig)}
    assert set(choices["loss"]) == set(LOSSES)
    assert set(choices["optimizer"]) == set(MAKERS) == set(DECAYS) == set(PROMPT_RATES)
    assert set(choices["lr_scheduler_type"]) == set(SCHEDULES)
    assert set(choices["format"]) == {*FORMATS, LM}


def test_rates_warm_up_and_fall():
    constant = settings(warmup_steps=3, learning_rate=0.4).resolved()
    assert [rate(constant, step) for step in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])
    for kind, middle in (("linear", 0.5), ("cosine", 0.5)):
        falling = settings(lr_scheduler_type=kind, learning_rate=1.0, max_steps=10).resolved()
        rates = [rate(falling, step) for step in range(11)]
        assert rates[0] == 1
        assert rates[5] == pytest.approx(middle)
        assert rates[10] == pytest.approx(0)
        assert rates == sorted(rates, reverse=True)


def test_settings_are_a_part_of_every_command():
    assert issubclass(PretrainConfig, TrainSettings)


class OutOfMemoryError(RuntimeError):
    """What torch.OutOfMemoryError is to those that do not import torch."""


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("CUDA out of memory. Tried to allocate 72.00 MiB.\nMore."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_want_of_memory_anywhere_is_one_line(error, capsys):
    def command():
        raise error

    assert exit_status(command) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: too little memory is left (")
    assert told.count("\n") == 1


def test_another_runtime_error_keeps_its_traceback():
    def command():
        raise RuntimeError("another matter")

    with pytest.raises(RuntimeError, match="another matter"):
        exit_status(command)
