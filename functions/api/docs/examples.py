"""Examples for the documents.

接口文档中的示例。
"""

from __future__ import annotations

from typing import Any

from functions.api.http.problems import Problem, document
from shared.limits import WAY_ROUND

EXAMPLE_ID = "01JD8Q5S3V7X2Z4B6D8F0H2K4M"
_AT = "2026-11-21T21:00:00.000Z"
_URL = f"https://models.example.com/api/v1/jobs/{EXAMPLE_ID}"
_GLB: dict[str, Any] = {
    "role": "model",
    "name": "model.glb",
    "url": f"{_URL}/artifacts/model.glb?signature=b0rZ",
    "media_type": "model/gltf-binary",
    "bytes": 1048576,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "facts": {
        "triangles": 12000,
        "lines": 0,
        "points": 0,
        "vertices": 6100,
        "bounds": [[0, 0, 0], [1, 1, 1]],
        "watertight": True,
        "verified": "vertices",
        "materials": 1,
        "textures": 1,
        "largest_texture_side": 2048,
        "animations": 0,
        "meshes": 1,
        "nodes": 1,
        "generator": "glTF-Transform",
    },
}

JOB: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "kind": "text-to-3d",
    "provider": "tripo",
    "status": "queued",
    "progress": 0,
    "created_at": _AT,
    "updated_at": _AT,
    "started_at": None,
    "finished_at": None,
    "metadata": {"order": "A-1001"},
    "input": {"prompt": "a small red toy robot", "options": {}},
    "artifacts": [],
    "warnings": [],
    "error": None,
    "may_be_billed": False,
    "receipt": {
        "task_id": None,
        "creates": 0,
        "busy": 0,
        "checks": 0,
        "provider_credits": None,
    },
    "history": [{"at": _AT, "status": "queued", "note": None}],
    "retry_of": None,
    "retried_as": None,
    "deleted_at": None,
    "urls": {
        "self": _URL,
        "cancel": f"{_URL}/cancel",
        "retry": f"{_URL}/retry",
        "deliveries": f"{_URL}/deliveries",
        "result": f"https://models.example.com/api/v1/models/{EXAMPLE_ID}/result",
    },
}

EVENT: dict[str, Any] = {"type": "job.succeeded", "timestamp": _AT, "data": JOB}

STATUS: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "status": "running",
    "progress": 40,
    "eta_seconds": 25,
    "created_at": _AT,
    "updated_at": _AT,
}

RESULT: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "status": "succeeded",
    "link": _GLB["url"],
    "preview": f"{_URL}/artifacts/preview.webp?signature=c9Xk",
    "size": _GLB["bytes"],
    "sha256": _GLB["sha256"],
    "format": "glb",
    "facts": _GLB["facts"],
    "generation_seconds": 61.4,
    "warnings": [],
    "artifacts": [_GLB],
}

DELIVERY: dict[str, Any] = {
    "id": "01JD8Q9T0W1Y3A5C7E9G1J3M5P",
    "event": "job.succeeded",
    "url": "https://shop.example.com/hooks/models",
    "status": "pending",
    "created_at": _AT,
    "next_try_at": "2026-11-21T21:00:05.000Z",
    "tries": [{"at": _AT, "status": 503, "error": None, "milliseconds": 12}],
}

UPLOAD: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "media_type": "image/jpeg",
    "bytes": 18303121,
    "sha256": None,
    "filename": "chair.jpg",
    "received": False,
    "created_at": _AT,
    "expires_at": "2026-11-22T21:00:00.000Z",
    "method": "PUT",
    "url": "https://bucket.example.com/uploads/01JD8Q5S3V7X2Z4B6D8F0H2K4M/file.jpg?signature=c2ln",
    "headers": {"Content-Type": "image/jpeg", "Content-Length": "18303121"},
    "urls": {"self": f"https://models.example.com/api/v1/uploads/{EXAMPLE_ID}"},
}

INFO: dict[str, Any] = {
    "kinds": [
        {
            "name": "image-to-image",
            "makes": "image",
            "takes_prompt": True,
            "inputs": {"image": "picture", "mask": "picture"},
            "images": ["image", "mask"],
            "needs": ["image"],
            "providers": ["qwen-image"],
        }
    ],
    "providers": ["tripo", "qwen-image"],
    "told": {
        "qwen-image": {
            "kinds": ["text-to-image", "image-to-image"],
            "inpainting": True,
            "limits": {"side_step": 16, "max_side": 2752, "max_steps": 100, "max_images": 10},
            "defaults": {"width": 1024, "height": 1024},
        }
    },
    "missing": {"qwen-image": "the Qwen-Image service does not start: it is installed in part"},
    "limits": {
        "platform": "lambda",
        "body_bytes": 4669440,
        "json_bytes": 6225920,
        "larger_files": WAY_ROUND,
        "image_bytes": 20971520,
        "model_bytes": 157286400,
        "upload_types": ["image/jpeg", "image/png", "image/webp", "model/gltf-binary"],
        "uploads_open": 200,
        "upload_seconds": 86400,
        "image_pixels": 50000000,
        "image_min_side": 20,
        "image_max_side": 6000,
        "image_formats": ["image/jpeg", "image/png", "image/webp"],
        "prompt_characters": 1024,
        "wait_seconds": 20,
    },
}

_FAULTS: dict[str, Problem] = {
    "400": Problem(400, "prompt_empty", "prompt must not be empty.", "prompt"),
    "401": Problem(401, "unauthenticated", "This API key is not known."),
    "403": Problem(403, "http_error", "The API answers at its public address only."),
    "404": Problem(404, "job_not_found", f"There is no job '{EXAMPLE_ID}'."),
    "409": Problem(
        409, "not_finished", "The job is running; there is no result yet.", retryable=True
    ),
    "410": Problem(410, "artifact_deleted", "The files of this job were deleted."),
    "413": Problem(413, "too_large", "The body is larger than 4669440 bytes.", "body"),
    "415": Problem(
        415, "image_format_unsupported", "image: this is an SVG; send JPEG, PNG or WebP.", "image"
    ),
    "422": Problem(
        422,
        "kind_not_made",
        "Nobody makes text-to-image here; qwen-image with QWEN_IMAGE_BASE_URL set would.",
        "kind",
    ),
    "429": Problem(
        429,
        "uploads_open",
        "There are 200 open uploads already, as many as a caller may have.",
        retryable=True,
    ),
    "500": Problem(500, "internal", "Something went wrong here; the log knows the request's id."),
    "503": Problem(
        503, "store_unavailable", "The store does not answer just now; ask again.", retryable=True
    ),
}


def problem_of(status: str) -> dict[str, Any]:
    """An error of a status, as it is answered.

    某个状态码的错误示例。
    """
    shown = _FAULTS[status]
    return document(
        shown, instance=f"/api/v1/jobs/{EXAMPLE_ID}", request_id="01JD8Q5S3V7X2Z4B6D8F0H2K4N"
    )


PROBLEM: dict[str, Any] = problem_of("400")
