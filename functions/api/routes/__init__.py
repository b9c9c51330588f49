"""The routes that are part of the API, and in its documents.

接口的全部路由。
"""

from __future__ import annotations

from functions.api.routes import deliveries, health, images, jobs, models, uploads

ROUTERS = (
    models.router,
    images.router,
    jobs.router,
    uploads.router,
    deliveries.router,
    health.router,
)
