"""A Qwen-Image small enough for a laptop's processor: trained on drawings, kept in `model/`.

一个可在普通 CPU 上运行的微型 Qwen-Image。
"""

from pathlib import Path

MODEL = Path(__file__).parent / "model"
"""The trained checkpoint."""
