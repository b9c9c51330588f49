"""Where things are in the checkout.

代码目录中的位置。
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout's top folder."""
