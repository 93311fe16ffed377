from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch._inductor import config as inductor

from vireid.core.errors import ConfigError, UserError
from vireid.core.registries import BACKBONES, INSERTS
from vireid.engine.compiling import compile_faults, compile_for_training, require_compiler
from vireid.experiment.experiment import Experiment
from vireid.models.backbones.two_stream import TwoStreamBackbone
from vireid.testing import build_example
from vireid.zoo.models import config_path

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def images(visible: int, infrared: int) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Normalized images, their modality and how many are visible."""
    generator = torch.Generator().manual_seed(visible + 100 * infrared)
    pixels = torch.randn(visible + infrared, 3, 64, 32, generator=generator)
    return pixels, torch.tensor([0] * visible + [1] * infrared), visible


def backbone(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_example(BACKBONES.get(name).target).train()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TwoStreamBackbone", "DiverseBackbone"])
def test_every_backbone_computes_the_same_compiled(name):
    """aot_eager traces forward and backward as inductor does, and runs the traced operations without a compiler."""
    plain, compiled = backbone(name), backbone(name)
    for module in (*plain.modules(), *compiled.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the random numbers of a compiled dropout are others
    compile_for_training(compiled, backend="aot_eager")
    batch = images(4, 4)
    for module in (plain, compiled):
        module(*batch)[0].square().mean().backward()
    for (key, one), (_, other) in zip(plain.named_parameters(), compiled.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=key)
    torch.testing.assert_close(plain.state_dict(), compiled.state_dict())  # running statistics


@pytest.mark.slow
@pytest.mark.parametrize("insert", ["ModalityAlleviation", "ModalityDistribution", "NonLocal"])
def test_every_insert_can_be_compiled(insert):
    torch.manual_seed(0)
    part = build_example(INSERTS.get(insert).target)
    plain = TwoStreamBackbone(arch="resnet10t", inserts={"stage3": part}).train()
    compiled = copy.deepcopy(plain)
    compile_for_training(compiled, backend="aot_eager")
    torch.testing.assert_close(compiled(*images(4, 4))[0], plain(*images(4, 4))[0])


def test_one_compilation_serves_training_and_evaluation_has_none():
    counter, network = CompileCounter(), backbone("TwoStreamBackbone")
    compile_for_training(network, backend=counter)
    for _ in range(3):
        network(*images(4, 4))
    compilations = counter.frame_count
    assert compilations >= 1
    network.eval()
    for visible, infrared in ((4, 4), (3, 0), (0, 5), (1, 2), (7, 1)):
        network(*images(visible, infrared))
    network.train()
    network(*images(4, 4))
    assert counter.frame_count == compilations


@pytest.mark.slow
def test_other_batch_sizes_do_not_compile_endlessly():
    counter, network = CompileCounter(), backbone("TwoStreamBackbone")
    compile_for_training(network, backend=counter)
    for half in range(2, 9):
        network(*images(half, half))
    assert 2 <= counter.frame_count <= 3, "once for one size, then for any"


def test_names_stay_and_a_copy_is_not_compiled():
    network = backbone("TwoStreamBackbone")
    names = list(network.state_dict())
    counter = CompileCounter()
    compile_for_training(network, backend=counter)
    assert list(network.state_dict()) == names
    copied = copy.deepcopy(network)  # as the average of the weights (EMA) is made
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert copied(*images(2, 2))[0].abs().sum() == 0, "it computes with weights of its own"
    assert counter.frame_count == 0


def test_a_backbone_that_cannot_be_compiled_is_one_text():
    def backend(graph, inputs):
        raise RuntimeError("no kernel for this operation\nand a long log")

    network = backbone("TwoStreamBackbone")
    compile_for_training(network, backend=backend)
    with pytest.raises(UserError) as caught, compile_faults():
        network(*images(2, 2))
    text = str(caught.value)
    assert text.startswith("COMPILE: torch.compile cannot compile the backbone (")
    assert "no kernel for this operation" in text
    assert text.endswith("; set COMPILE false")
    assert "\n" not in text


def test_errors_of_the_network_itself_pass():
    with pytest.raises(ZeroDivisionError), compile_faults():
        raise ZeroDivisionError


def test_a_compiler_that_is_there():
    require_compiler(CPU)


def test_a_missing_compiler_is_reported_before_any_work(tmp_path):
    words = {"COMPILE": True, "DEVICE": "cpu", "OUTPUT_DIR": str(tmp_path / "run"), "MODEL.BACKBONE.ARCH": "resnet10t"}
    experiment = Experiment.from_config(config_path("sysu/baseline"), {**words, "MODEL.BACKBONE.PRETRAINED": False})
    with inductor.patch({"cpp.cxx": (None, str(tmp_path / "absent-g++"))}), pytest.raises(ConfigError) as caught:
        experiment.train()
    assert str(caught.value).startswith("COMPILE = true, but torch.compile finds no C++ compiler for the CPU (")
    assert str(caught.value).endswith("; install one, or set COMPILE false")
    assert not (tmp_path / "run").exists()


def test_missing_triton_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ConfigError, match="needs the package triton for a CUDA device"):
        require_compiler(torch.device("cuda"))


@pytest.mark.slow
def test_inductor_computes_what_the_plain_module_computes():
    """The real compiler on one convolution, forward and backward: a whole network takes minutes on two cores."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).train()
    compiled = copy.deepcopy(plain)
    compile_for_training(compiled)
    pixels = torch.randn(2, 3, 8, 8)
    for module in (plain, compiled):
        module(pixels).square().mean().backward()
    torch.testing.assert_close(compiled[0].weight.grad, plain[0].weight.grad)
    torch.testing.assert_close(compiled.eval()(pixels), plain.eval()(pixels))
