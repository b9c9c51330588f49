"""Compiled blocks: the same numbers, in one piece, built a few times only, under a step cache."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import FirstBlockCacheConfig, QwenImageTransformer2DModel
from torch._dynamo.utils import counters

from gpu_inference.engine import compiling
from gpu_inference.engine.pipeline import DiffusersEngine
from gpu_inference.settings import Settings
from gpu_inference.work.protocol import Spec


def a_transformer() -> Any:
    torch.manual_seed(0)
    return QwenImageTransformer2DModel(
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=4,
        joint_attention_dim=64,
        axes_dims_rope=(4, 6, 6),
    ).eval()


def predicted(transformer: Any, words: int, side: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(words)
    with torch.no_grad(), transformer.cache_context("cond"):
        [made] = transformer(
            hidden_states=torch.randn(batch, side * side, 64, generator=generator),
            encoder_hidden_states=torch.randn(batch, words, 64, generator=generator),
            timestep=torch.full((batch,), 0.5),
            img_shapes=[[(1, side, side)]] * batch,
            return_dict=False,
        )
    return made


@pytest.fixture(autouse=True)
def compiler() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def test_the_rotary_embedding_in_real_numbers_gives_what_the_complex_one_does() -> None:
    whole, real = a_transformer(), a_transformer()
    compiling._turn_in_real_numbers(real)
    for dtype, most in ((torch.float32, 1e-6), (torch.bfloat16, 0.0)):
        whole, real = whole.to(dtype), real.to(dtype)
        # Cast weights leave the angles as they are.
        x = torch.randn(2, 16, 4, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
        complex_turns, turns = (
            module.pos_embed([(1, 4, 4)], device=x.device, max_txt_seq_len=3)[0]
            for module in (whole, real)
        )
        assert complex_turns.is_complex()
        assert not turns.is_complex()
        torch.testing.assert_close(
            compiling._rotary(x, turns, use_real=False),
            compiling._rotary(x, complex_turns, use_real=False),
            atol=most,
            rtol=most,
        )


def test_compiled_blocks_predict_what_the_stock_ones_do() -> None:
    stock, compiled = a_transformer(), a_transformer()
    compiling.compile_blocks(compiled, backend="aot_eager", fullgraph=True)
    for case in ((20, 4, 2), (6, 6, 3)):
        torch.testing.assert_close(
            predicted(compiled, *case), predicted(stock, *case), atol=1e-5, rtol=1e-5
        )
    built = counters["stats"]["unique_graphs"]
    assert 0 < built < 6
    # What is new in nothing but its numbers is built already.
    for case in ((31, 10, 4), (9, 8, 5)):
        torch.testing.assert_close(
            predicted(compiled, *case), predicted(stock, *case), atol=1e-5, rtol=1e-5
        )
    assert counters["stats"]["unique_graphs"] == built
    assert not counters["graph_break"]


def test_the_step_cache_works_around_compiled_blocks() -> None:
    stock, compiled = a_transformer(), a_transformer()
    compiling.compile_blocks(compiled, backend="aot_eager", fullgraph=True)
    for transformer in (stock, compiled):
        transformer.enable_cache(FirstBlockCacheConfig(threshold=0.5))
    for words in (8, 8, 8):
        torch.testing.assert_close(
            predicted(compiled, words, 4), predicted(stock, words, 4), atol=1e-5, rtol=1e-5
        )
    assert not counters["graph_break"]


def test_an_engine_that_compiles_draws_and_gives_its_memory_back(
    make_settings: Callable[..., Settings],
    tiny_engine: DiffusersEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda code, **_: compile_(code, backend="aot_eager"))
    engine = DiffusersEngine(make_settings(compile=True, step_cache="first-block"))
    engine.load()
    spec = Spec("a red circle", "", 64, 64, 2, 4.0, 3)
    usual, made = (
        each.generate([spec], lambda done, of: None)[0] for each in (tiny_engine, engine)
    )
    assert counters["stats"]["unique_graphs"] > 0
    assert engine.info()["accelerations"] == ["compile", "step_cache"]
    pairs = zip(usual.tobytes(), made.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= 1
    weights = weakref.ref(engine._text.transformer)
    engine.close()
    assert weights() is None


def test_a_model_without_repeated_blocks_is_refused() -> None:
    transformer = a_transformer()
    transformer._repeated_blocks = []
    with pytest.raises(ValueError, match="no repeated blocks"):
        compiling.compile_blocks(transformer)
