"""Matrix products in float8, which a CPU computes too: how far off, and what stays whole."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import nn

from gpu_inference.engine import compiling, float8

CPU = torch.device("cpu")


@pytest.mark.parametrize("bias", [True, False])
def test_a_float8_layer_computes_the_whole_one_within_its_rounding(bias: bool) -> None:
    torch.manual_seed(0)
    whole = nn.Linear(96, 48, bias=bias).bfloat16()
    # Rows of very different sizes: each has its own scale.
    x = (torch.randn(2, 5, 96) * torch.tensor([1e-3, 1, 1e3, 7, 0])[:, None]).bfloat16()
    with torch.no_grad():
        exact, rounded = whole(x), float8.Float8Linear(whole, CPU)(x)
    assert (rounded.shape, rounded.dtype) == (exact.shape, exact.dtype)
    for row in range(5):
        off = (rounded - exact)[:, row].float().norm()
        assert off <= 0.06 * exact[:, row].float().norm()
    # It is no copy: three bits of mantissa show.
    assert (rounded - exact).abs().max() > 0


def test_every_row_is_scaled_to_the_whole_range_and_zeros_stay_zeros() -> None:
    matrix = torch.tensor([[1.0, -2.0], [0.0, 0.0], [1e30, 5e29]])
    values, scale = float8.in_rows(matrix)
    assert values.dtype == torch.float8_e4m3fn
    assert values.float().abs().amax(dim=1).tolist() == [448, 0, 448]
    torch.testing.assert_close(values.float() * scale, matrix)


def test_the_blocks_are_converted_but_for_what_is_sensitive(checkpoint: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(
        checkpoint, dtype=torch.bfloat16, local_files_only=True
    )
    stock = copy.deepcopy(pipeline.transformer)
    float8.convert(pipeline.transformer, CPU)
    kept = {
        name
        for name, layer in pipeline.transformer.transformer_blocks[0].named_modules()
        if isinstance(layer, nn.Linear)
    }
    assert kept == {"img_mlp.net.2", "img_mod.1", "txt_mod.1"}
    assert isinstance(pipeline.transformer.proj_out, nn.Linear)
    assert pipeline.transformer.dtype == torch.bfloat16
    case = {
        "hidden_states": torch.randn(1, 16, 64).bfloat16(),
        "encoder_hidden_states": torch.randn(1, 7, 64).bfloat16(),
        "timestep": torch.tensor([0.5]),
        "img_shapes": [[(1, 4, 4)]],
        "return_dict": False,
    }
    with torch.no_grad():
        [exact], [rounded] = stock(**case), pipeline.transformer(**case)
        compiling.compile_blocks(pipeline.transformer, backend="aot_eager", fullgraph=True)
        [compiled] = pipeline.transformer(**case)
    torch.compiler.reset()
    off = ((rounded - exact).float().norm() / exact.float().norm()).item()
    assert 0 < off < 0.1
    assert ((compiled - rounded).float().norm() / exact.float().norm()).item() < 0.02


def test_only_a_gpu_that_multiplies_float8_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    assert not float8.is_computed_by(CPU, torch.bfloat16)
    for capability, able in (((9, 0), True), ((8, 9), True), ((8, 0), False)):
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda _=None, found=capability: found
        )
        assert float8.is_computed_by(gpu, torch.bfloat16) is able
        assert not float8.is_computed_by(gpu, torch.float16)


def test_a_model_without_such_layers_is_refused() -> None:
    bare = nn.Module()
    bare.transformer_blocks = nn.ModuleList([nn.Sequential(nn.Linear(3, 3))])
    with pytest.raises(ValueError, match="no such layers"):
        float8.convert(bare, CPU)
