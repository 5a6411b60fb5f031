"""Functions that a GPU computes in one pass are what they are, compiled or not."""

import pytest
import torch

from ppt.backbones import faster
from tests.tiny import tiny_llama


class Far:
    """Something on a GPU, for machines without one."""

    is_cuda = True


def test_tensors_of_a_cpu_are_computed_as_they_stand(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    assert faster.one_kernel(lambda one: one + 1)(torch.ones(1)) == 2


def test_a_function_is_compiled_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        torch, "compile", lambda one, dynamic: made.append(dynamic) or (lambda _: "compiled")
    )
    call = faster.one_kernel(lambda _: "plain")
    assert [call(Far()), call(Far())] == ["compiled"] * 2
    assert made == [True], "for all shapes"


def test_where_nothing_can_be_compiled_it_is_told_once_and_computed(monkeypatch, capsys):
    def compiled(_):
        raise RuntimeError("Cannot find a working triton installation.\nMore of it.")

    monkeypatch.setattr(torch, "compile", lambda one, dynamic: compiled)

    @faster.one_kernel
    def twice(_):
        return "plain"

    assert [twice(Far()), twice(Far())] == ["plain"] * 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "twice cannot be compiled (Cannot find a working triton installation.)" in told[0]


def test_where_there_is_no_compiler_at_all_it_is_told_and_computed(monkeypatch, capsys):
    def refused(*_, **__):
        raise RuntimeError("Dynamo is not supported on Python 4.0+")

    monkeypatch.setattr(torch, "compile", refused)
    call = faster.one_kernel(lambda _: "plain")
    assert [call(Far()), call(Far())] == ["plain"] * 2
    assert "Dynamo is not supported" in capsys.readouterr().err


def test_want_of_memory_is_not_taken_for_want_of_a_compiler(monkeypatch):
    def compiled(_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch, "compile", lambda one, dynamic: compiled)
    with pytest.raises(torch.OutOfMemoryError):
        faster.one_kernel(lambda _: "plain")(Far())


def test_rotation_back_undoes_rotation():
    angles = torch.rand(5, 1, 4)
    tokens = torch.randn(5, 3, 8)
    there = faster.rotated(tokens, angles.cos(), angles.sin(), False)
    torch.testing.assert_close(faster.rotated(there, angles.cos(), angles.sin(), True), tokens)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_finds_what_a_cpu_finds():
    norm = tiny_llama().model.base_model.norm
    tokens, other = torch.randn(7, len(norm.weight)), torch.randn(7, len(norm.weight))
    near, scale = faster.rms_norm(tokens, norm)
    back = faster.rms_norm_back(other.clone(), tokens, scale, norm)
    norm.to("cuda")
    far, its = faster.rms_norm(tokens.cuda(), norm)
    torch.testing.assert_close(far.cpu(), near)
    torch.testing.assert_close(
        faster.rms_norm_back(other.cuda(), tokens.cuda(), its, norm).cpu(), back
    )
