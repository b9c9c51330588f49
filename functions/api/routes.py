"""The routes that are part of the API, and in its documents.

接口的全部路由。
"""

from __future__ import annotations

from functions.api import health, jobs, models, pictures

ROUTERS = (models.router, pictures.router, jobs.router, health.router)
