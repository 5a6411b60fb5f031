"""The command, end to end on tiny models: files, resume after kill -9, processes, errors."""

import json
import os
import random
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from ppt.backbones.loading import load_backbone
from ppt.corpus.storage import MANIFEST
from ppt.pretrain import main
from ppt.prompts.files import read_values, save_prompt
from ppt.prompts.rendering import Renderer
from ppt.training.card import TITLES, read_metrics
from ppt.training.examples import load_examples
from ppt.transfer.library import find_prompts
from tests.forks import forked
from tests.tiny import save_tiny, tiny_llama, tiny_t5
from tests.toys import toy_corpus

ROOT = Path(__file__).parents[1]
WEIGHTS = Path("prompt", "adapter_model.safetensors")
KILLS = int(os.environ.get("PPT_KILLS", "1"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Tiny models and corpora on disk."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "llama", max_position_embeddings=80)
    save_tiny(folder / "t5", "t5")
    toy_corpus(folder / "corpora" / "sentiment")
    toy_corpus(folder / "corpora" / "unified", "unified")
    return folder


def flags(place, output, **changes):
    usual = {
        "format": "sentiment", "corpus": place / "corpora" / changes.get("format", "sentiment"),
        "model": place / "llama", "output_dir": output, "prompt_length": 5, "max_length": 56,
        "max_steps": 12, "eval_steps": 6, "save_steps": 2, "logging_steps": 3,
        "per_device_train_batch_size": 8, "learning_rate": 0.05, "tensorboard": "false",
        "device": "cpu", "threads": 1,
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in {**usual, **changes}.items()]


def fails(capsys, argv, code=2):
    """The one line that the command prints."""
    assert main([str(arg) for arg in argv]) == code
    error = capsys.readouterr().err
    lines = [line for line in error.split("\n") if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in error
    return lines[0]


@pytest.mark.parametrize(
    ("model", "format_name", "style"),
    [("llama", "unified", "soft"), ("t5", "unified", "hybrid"), ("t5", "sentiment", "soft")],
)
def test_a_run_leaves_all_that_people_expect(
    drawn, place, tmp_path, capsys, model, format_name, style
):
    output = tmp_path / "run"
    argv = flags(place, output, model=place / model, format=format_name, style=style,
                 tensorboard="true", residual=4, init="labels",
                 dtype="bfloat16" if style == "hybrid" else "float32")  # fmt: skip
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "chance" in shown
    assert str(output / "prompt") in shown
    names = {path.name for path in output.iterdir()}
    assert names == {
        "README.md", "checkpoint-10", "checkpoint-12", "config.json", "loss.png", "metrics.jsonl",
        "prompt", "result.json", "tensorboard",
    }  # fmt: skip
    assert np.ptp(imread(output / "loss.png")[..., :3]) > 0.5
    result = json.loads((output / "result.json").read_text())
    card = (output / "README.md").read_text()
    assert f"{result['best']['accuracy']:.3f}" in card
    assert "base_model:" in card
    assert "{mask}" in card  # how texts are shown to the model
    assert (format_name == "unified") == ("accuracy, 3 options (n = " in card)
    config = json.loads((output / "config.json").read_text())
    assert config["learning_rate"] == 0.05
    assert config["init"] == "labels"
    steps = [row["step"] for row in read_metrics(output) if row["split"] == "validation"]
    assert steps == [0, 6, 12]
    assert read_values(output).shape == (5, 32)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_peft_loads_the_prompt_with_equal_logits(place, tmp_path, kind):
    from peft import PeftModel

    assert main(flags(place, tmp_path / "run", model=place / kind, residual=4)) == 0
    prompt = read_values(tmp_path / "run")
    backbone = load_backbone(str(place / kind), device="cpu")
    ids = torch.tensor([[20, 30, 40, 50], [60, 70, 80, 90]])
    embeds = torch.cat([prompt.expand(2, -1, -1), backbone._embed(ids)], 1)
    extra = {} if kind == "llama" else {"decoder_input_ids": torch.tensor([[0, 3], [0, 3]])}
    with torch.no_grad():
        ours = backbone.model(inputs_embeds=embeds, **extra).logits
        peft = PeftModel.from_pretrained(backbone.model, str(tmp_path / "run" / "prompt")).eval()
        theirs = peft(input_ids=ids, attention_mask=torch.ones_like(ids), **extra).logits
    assert torch.equal(ours, theirs)


def test_a_finished_run_is_refused_unless_overwritten(place, tmp_path, capsys):
    output = tmp_path / "run"
    (output / "checkpoint-notes").mkdir(parents=True)
    assert "is not empty and holds no config.json" in fails(capsys, flags(place, output))
    assert main([*flags(place, output), "--overwrite_output_dir"]) == 0
    before = (output / WEIGHTS).read_bytes()
    assert "is finished" in fails(capsys, flags(place, output))
    assert "is finished" in fails(capsys, flags(place, output, seed=1))
    assert (output / WEIGHTS).read_bytes() == before
    assert main([*flags(place, output, seed=1), "--overwrite_output_dir"]) == 0
    assert (output / WEIGHTS).read_bytes() != before
    assert (output / "checkpoint-notes").is_dir()


def test_what_a_run_trained_before_goes_with_it(place, tmp_path):
    output, short = tmp_path / "run", {"max_steps": 1, "eval_steps": 1, "save_steps": 1}
    for trains, style in (("lora", "hard"), ("prompt", "soft"), ("lora", "hard")):
        argv = flags(place, output, trains=trains, style=style, **short)
        assert main([*argv, "--overwrite_output_dir"]) == 0
        (found,) = find_prompts([str(output)])
        assert found.trains == trains
        title, tag = TITLES[trains]
        card = (output / "README.md").read_text()
        assert f"# {title}\n" in card
        assert f"\n- {tag}\n" in card
        assert f'from_pretrained(backbone, "{found.folder.name}")' in card


def test_low_rank_adapters_begin_where_others_ended(place, tmp_path, capsys):
    one, two, prompt = (tmp_path / name for name in ("one", "two", "prompt"))
    low_rank = {"trains": "lora", "style": "hard"}
    assert main(flags(place, one, **low_rank)) == 0
    assert main(flags(place, two, **low_rank, init=f"checkpoint:{one}", max_steps=1)) == 0
    assert "not for" not in capsys.readouterr().err
    ended, begun = (json.loads((run / "result.json").read_text()) for run in (one, two))
    assert begun["first"]["loss"] == pytest.approx(ended["best"]["loss"], abs=1e-5)
    assert ended["best"]["loss"] < ended["first"]["loss"]
    assert not (one / "adapter" / "README.md").exists()  # PEFT's names a folder of this machine
    line = fails(capsys, flags(place, tmp_path / "no", **low_rank, init="random"))
    assert "--init: got 'random': it is for --trains=prompt alone" in line
    assert main(flags(place, prompt, max_steps=1)) == 0
    line = fails(capsys, flags(place, tmp_path / "no", **low_rank, init=f"checkpoint:{prompt}"))
    assert "has peft_type PROMPT_TUNING, expected LORA" in line


@pytest.mark.parametrize("more", [{}, {"trains": "lora", "style": "hard"}])
def test_what_was_trained_for_another_model_of_that_size_is_told(place, tmp_path, capsys, more):
    one, own = tmp_path / "one", {"max_position_embeddings": 80, "initializer_range": 0.2}
    other = save_tiny(tmp_path / "other", **own)
    assert main(flags(place, one, **more, max_steps=1)) == 0
    begun = {"init": f"checkpoint:{one}", "model": other, "max_steps": 1, **more}
    assert main(flags(place, tmp_path / "two", **begun)) == 0
    told = capsys.readouterr().err
    assert f"was trained for {place / 'llama'}, not for {other}." in told


def test_an_interrupted_run_goes_on_with_the_same_flags_only(place, tmp_path, capsys, monkeypatch):
    from ppt.training.loop import Loop

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(flags(place, whole)) == 0
    real = Loop._step

    def stopping(self, active, stop):
        if self.step == 7:
            raise KeyboardInterrupt
        real(self, active, stop)

    monkeypatch.setattr(Loop, "_step", stopping)
    assert main(flags(place, cut)) == 130
    monkeypatch.setattr(Loop, "_step", real)
    line = fails(capsys, flags(place, cut, learning_rate=0.1))
    assert f"the interrupted run in {cut} has --learning_rate 0.05, got 0.1" in line
    line = fails(capsys, flags(place, cut, resume_from_checkpoint=whole / "checkpoint-10"))
    assert "has states of its own" in line
    line = fails(capsys, flags(place, cut, resume_from_checkpoint=tmp_path / "nowhere"))
    assert f"there are: {cut / 'checkpoint-4'}, {cut / 'checkpoint-6'}" in line
    manifest = place / "corpora" / "sentiment" / MANIFEST
    text = manifest.read_text()
    try:
        manifest.write_text(text + " ")
        assert "was made with corpus" in fails(capsys, flags(place, cut))
    finally:
        manifest.write_text(text)
    again = ["--overwrite_output_dir"]  # so that a script may always give it
    assert main([*flags(place, cut, save_steps=5), *again]) == 0
    assert "going on with the run" in capsys.readouterr().out
    assert (cut / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert (cut / "README.md").read_text().split("## Flags")[0] == (
        (whole / "README.md").read_text().split("## Flags")[0]
    )


@pytest.mark.promise("bits")
def test_kill_9_at_random_moments_ends_in_the_same_bytes(place, tmp_path, cases):
    cases(KILLS)
    steps = 100 * KILLS
    changes = {"max_steps": steps, "eval_steps": 50, "save_steps": 5, "early_stopping_patience": 0}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(flags(place, whole, **changes)) == 0
    chance = random.Random(7)
    reached = []
    for _ in range(KILLS):
        process = forked(main, flags(place, cut, **changes))
        begun = len(reached) and reached[-1]
        while process.is_alive() and _step(cut) <= begun + 20:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.join()
        reached.append(_step(cut))
    assert reached == sorted(set(reached))
    assert reached[-1] < steps, "all of them must have been cut off"
    assert main(flags(place, cut, **changes)) == 0
    assert (cut / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    rows = [[(row["split"], row["step"], row["loss"]) for row in read_metrics(run)]
            for run in (whole, cut)]  # fmt: skip
    assert rows[0] == rows[1]


def _step(folder):
    return max([int(path.name[11:]) for path in folder.glob("checkpoint-*")], default=0)


def test_sigterm_saves_and_exits_with_143(place, tmp_path):
    run, log = tmp_path / "run", tmp_path / "log"
    process = forked(main, flags(place, run, max_steps=5000, save_steps=4000), log)
    while process.is_alive() and not (run / "metrics.jsonl").is_file():
        time.sleep(0.02)
    time.sleep(0.3)
    process.terminate()
    process.join(timeout=60)
    assert process.exitcode == 143, log.read_text()
    assert "run the same command again to go on" in log.read_text()
    assert 0 < _step(run) < 4000


def test_two_processes_give_the_prompt_of_one(place, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # what torchrun and accelerate launch give their processes
    env = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    two, one, logs = tmp_path / "two", tmp_path / "one", [tmp_path / "log0", tmp_path / "log1"]
    argv = flags(place, two, format="unified", per_device_train_batch_size=4)
    processes = [
        forked(main, argv, log, {**env, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank, log in enumerate(logs)
    ]
    for process in processes:
        process.join(timeout=180)
    said = [log.read_text() for log in logs]
    assert [process.exitcode for process in processes] == [0, 0], said
    assert "".join(said).count("(best)") == 1
    assert main(flags(place, one, format="unified")) == 0
    assert torch.allclose(read_values(two), read_values(one), atol=1e-4)
    found, wanted = (
        [row for row in read_metrics(run) if row["split"] == "validation"] for run in (two, one)
    )
    for row, other in zip(found, wanted, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert row["accuracy"] == other["accuracy"]
        assert row["by_options"] == other["by_options"]


def test_bad_input_is_one_line_and_exit_code_2(place, tmp_path, capsys):
    output = tmp_path / "run"
    corpora = place / "corpora"
    (tmp_path / "file").touch()
    (tmp_path / "half").mkdir()
    save_tiny(tmp_path / "mute")
    (tmp_path / "mute" / "tokenizer.json").unlink()
    (tmp_path / "stray" / "checkpoint-1").mkdir(parents=True)
    cases = {
        "no corpus at": {"corpus": corpora / "nowhere"},
        "holds the corpora sentiment, unified": {"corpus": corpora},
        "has no manifest.json": {"corpus": tmp_path / "half"},
        "is a unified corpus, expected sentiment": {"corpus": corpora / "unified"},
        "there is no model folder": {"model": "./nowhere"},
        "cannot read config.json": {"model": tmp_path / "half"},
        "unknown init 'vocab'. Did you mean 'vocabulary'?": {"init": "vocab"},
        "there is no prompt in": {"init": f"checkpoint:{tmp_path}"},
        "5 tokens, --max_length 68 and label words of up to 9 tokens need 81 positions, but": {
            "max_length": 68
        },
        "the pattern's own words": {"max_length": 8, "format": "unified",
                                    "corpus": corpora / "unified"},
        "device 'gpu' cannot be used": {"device": "gpu"},
        "cannot read the tokenizer": {"model": tmp_path / "mute"},
        f"{str(tmp_path / 'file')!r} is a file: give a folder": {"model": tmp_path / "file"},
        f"{tmp_path / 'file'} is a file: give another": {"output_dir": tmp_path / "file"},
        f"{tmp_path / 'file'} is a file": {"output_dir": tmp_path / "file" / "run"},
        "--prompt_length: got 0, expected 1 to 10,000": {"prompt_length": 0},
        "--learning_rate: got nan, expected a finite number": {"learning_rate": "nan"},
        "is in no run folder": {"resume_from_checkpoint": tmp_path / "stray" / "checkpoint-1"},
        "cannot read the state": {"resume_from_checkpoint": tmp_path / "nowhere"},
        "expected one of sentence_pair": {"format": "sentimental"},
        "give one of them": {"resume_from_checkpoint": tmp_path, "overwrite_output_dir": "true"},
    }  # fmt: skip
    for message, change in cases.items():
        argv = flags(place, output, **change)
        assert message in fails(capsys, argv), message
    assert not output.exists() or not list(output.glob("checkpoint*"))


def test_a_folder_that_cannot_be_written_is_refused_at_once(place, tmp_path, capsys, monkeypatch):
    real = os.access

    def refusing(path, mode):
        return real(path, mode) and (path != tmp_path or mode == os.F_OK)

    monkeypatch.setattr(os, "access", refusing)
    line = fails(capsys, flags(place, tmp_path / "runs" / "new", model="./nowhere"))
    assert line == f"error: {tmp_path} is not writable: give another --output_dir."


@pytest.mark.parametrize("overwrite", ["true", "false"])
@pytest.mark.parametrize("names", [["README.md"], ["config.json", "README.md"], ["checkpoint-5"]])
def test_files_of_others_are_never_touched(place, tmp_path, capsys, overwrite, names):
    theirs = tmp_path / "theirs"
    for name in names:
        (theirs / name).mkdir(parents=True) if "check" in name else _write(theirs / name)
    line = fails(capsys, flags(place, theirs, overwrite_output_dir=overwrite))
    assert f"{theirs} is not empty and holds no config.json of a run" in line
    assert ("or --overwrite_output_dir" in line) == (overwrite == "false")
    assert sorted(path.name for path in theirs.iterdir()) == sorted(names)


def _write(path):
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"model_type": "llama"}')


def test_a_prompt_of_another_hidden_size_is_refused(place, tmp_path, capsys):
    save_prompt(tmp_path / "p", torch.ones(5, 16), kind="causal", model="other", card={})
    line = fails(capsys, flags(place, tmp_path / "run", init=f"checkpoint:{tmp_path / 'p'}"))
    assert "has hidden size 16, the backbone has 32" in line
    save_prompt(tmp_path / "t5", torch.ones(5, 32), kind="seq2seq", model="other", card={})
    line = fails(capsys, flags(place, tmp_path / "run", init=f"checkpoint:{tmp_path / 't5'}"))
    assert "has task_type SEQ_2_SEQ_LM, expected CAUSAL_LM" in line


def test_a_corrupt_shard_is_refused_by_name(tmp_path, place, capsys):
    corpus = toy_corpus(tmp_path / "sentiment")
    shard = corpus / "train-00000-of-00001.parquet"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    argv = flags(place, tmp_path / "run", corpus=corpus, verify="full")
    assert re.search(f"shard {shard} is corrupt", fails(capsys, argv))
    shard.write_bytes(data[:-10])
    assert f"shard {shard} has" in fails(capsys, flags(place, tmp_path / "run", corpus=corpus))
    assert not (tmp_path / "run").exists(), "a refusal leaves nothing"


def test_a_shard_that_cannot_be_decoded_is_one_line_too(tmp_path, place, capsys):
    corpus = toy_corpus(tmp_path / "sentiment")
    shard = corpus / "train-00000-of-00001.parquet"
    data = shard.read_bytes()
    shard.write_bytes(bytes(200) + data[200:])
    argv = flags(place, tmp_path / "run", corpus=corpus)
    assert f"shard {shard} is corrupt (" in fails(capsys, argv)


def test_no_more_rows_are_read_than_the_steps_take(place, tmp_path, capsys):
    assert main(flags(place, tmp_path / "run", max_steps=2)) == 0
    assert "16 train, 24 validation examples" in capsys.readouterr().out


def test_an_empty_validation_split_has_its_cure_told(tmp_path, place, capsys):
    corpus = toy_corpus(tmp_path / "sentiment", validation=0)
    line = fails(capsys, flags(place, tmp_path / "run", corpus=corpus))
    assert "has no validation examples: build it from more documents, with --validation" in line


@pytest.mark.parametrize("make", [tiny_llama, tiny_t5])
def test_the_head_of_a_corpus_is_read(tmp_path, make):
    from ppt.corpus.storage import open_corpus

    backbone = make()
    corpus = open_corpus(toy_corpus(tmp_path / "unified", "unified"))
    renderer = Renderer.standard("unified", backbone.layout, "soft", backbone.tokenizer, 50)
    few, all_ = load_examples(corpus, renderer, 10, 3), load_examples(corpus, renderer)
    assert (len(few.train), len(few.validation)) == (10, 3)
    assert (len(all_.train), len(all_.validation)) == (48, 24)
    assert few.train.ids.tolist() == all_.train.ids[: few.train.starts[-1]].tolist()
    assert few.train.lengths.max() <= 50
    assert 0 < all_.train.cut + all_.validation.cut <= 72
    assert len(few.words.lengths) == 16
