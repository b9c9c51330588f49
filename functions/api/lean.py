"""FastAPI without the part of its import that only documents and old models need.

What is left out comes back by itself when it is used: `docs/cold-start.md` has the figures, and
without this module everything works the same, a tenth slower at a cold start.

精简 FastAPI 的加载，缩短冷启动。
"""

from __future__ import annotations

import sys

from pydantic import BaseModel


def load() -> None:
    """Import FastAPI, unless somebody has already.

    加载 FastAPI。
    """
    # FastAPI asks of every parameter whether it is a model of pydantic 1, and imports that to tell.
    # There is none here; where pydantic.v1 cannot be imported, FastAPI takes that for the answer.
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
    # FastAPI's models of OpenAPI are pydantic's: they are compiled when they are first used.
    BaseModel.model_config["defer_build"] = True
    try:
        import fastapi  # noqa: F401
    finally:
        del BaseModel.model_config["defer_build"]
