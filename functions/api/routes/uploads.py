"""/api/v1/uploads: announce a file, put it into the bucket, have jobs use it.

上传接口。
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from functions.api import operations, requests
from functions.api.fields import validate
from functions.api.http import bodies
from functions.api.http.bodies import Body
from functions.api.http.security import Caller
from functions.api.http.threads import Route
from functions.api.responses import answer
from shared import wiring
from shared.buckets.names import clean_filename
from shared.clock import iso
from shared.config import Settings
from shared.errors import InvalidInput, UnsupportedFormat
from shared.inputs.media import MEDIA_TYPES, Media, media_of
from shared.inputs.uploads import Announced, Upload, request_of
from shared.wiring import Bundle

router = APIRouter(
    route_class=Route,
    prefix="/api/v1/uploads",
    tags=["uploads"],
    generate_unique_id_function=operations.operation_id,
)


@router.post(
    "",
    status_code=201,
    summary="Announce a file",
    description="For files that are too large for a request's body. The answer holds a request to "
    "be sent as it is, `method` to `url` with all `headers` and the file as its body: it takes "
    "exactly the announced type and size and, with `sha256`, exactly those bytes (a bucket of COS "
    "takes others of that size, and the job that names them is refused). Then name the file as an "
    'input by `{"upload_id": "…"}`, in as many jobs as you like; each keeps a copy. '
    "An upload ends after a day.",
    responses=operations.answers(
        "Upload", 400, 401, 413, 415, 429, status=201, headers=operations.LOCATION
    ),
    openapi_extra=operations.json_body("CreateUpload"),
)
def create_upload(request: Request, caller: Caller, body: Body) -> Response:
    """Announce a file.

    登记一个待上传的文件。
    """
    bundle = wiring.current()
    form = bodies.form(request, body)
    if form.is_multipart:
        raise UnsupportedFormat(
            "Announce the file in application/json; the file itself is sent afterwards.",
            code="content_type_unsupported",
            param="Content-Type",
        )
    announced = _announced(validate(requests.CreateUpload, form.fields), bundle.settings)
    upload = bundle.uploads.open(caller, announced)
    where = {"Location": bundle.links.upload(upload.id)}
    return answer(_present(bundle, upload, received=False), 201, where)


@router.get(
    "/{upload_id}",
    summary="Read an upload",
    description="Whether the file was received, and the request that puts it, made anew: a link "
    "may end earlier than the upload where it is signed with credentials of a function's.",
    responses=operations.answers("Upload", 401, 404),
)
def get_upload(upload_id: str, caller: Caller) -> Response:
    """Read an upload.

    查看一个上传。
    """
    bundle = wiring.current()
    upload = bundle.uploads.get(caller, upload_id)
    received = bundle.bucket.head(upload.key) is not None
    return answer(_present(bundle, upload, received=received))


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    description="Removes the file; jobs that were made of it have copies. What nobody deletes goes "
    "a day after it was announced.",
    responses={204: {"description": "No Content."}, **operations.errors(401, 404)},
)
def delete_upload(upload_id: str, caller: Caller) -> Response:
    """Delete an upload.

    删除一个上传。
    """
    bundle = wiring.current()
    upload = bundle.uploads.delete(caller, upload_id)
    bundle.bucket.delete(upload.key)
    return Response(status_code=204)


def _announced(asked: requests.CreateUpload, settings: Settings) -> Announced:
    """What was announced, where it may be uploaded at all; raises `InvalidInput` and its kin.

    检查登记的内容。
    """
    media = media_of(asked.media_type)
    accepted = [*settings.image_formats, *MEDIA_TYPES[Media.MODEL]]
    if asked.media_type not in accepted:
        message = f"media_type must be one of {', '.join(accepted)}."
        raise UnsupportedFormat(message, code="media_type_unsupported", param="media_type")
    most = settings.image_bytes if media is Media.PICTURE else settings.model_bytes
    if asked.bytes > most:
        # A bound of a field, as others are; nothing too large has been sent.
        message = f"bytes must be at most {most} for {asked.media_type}."
        raise InvalidInput(message, code="too_large", param="bytes")
    named = None if asked.filename is None else clean_filename(asked.filename)
    sha256 = None if asked.sha256 is None else asked.sha256.lower()
    return Announced(asked.media_type, asked.bytes, sha256, named)


def _present(bundle: Bundle, upload: Upload, *, received: bool) -> dict[str, Any]:
    """An upload as JSON, with the request that puts its file.

    上传的 JSON 形式。
    """
    put = request_of(upload, bundle.bucket, bundle.clock.now())
    return {
        "id": upload.id,
        "media_type": upload.media_type,
        "bytes": upload.bytes,
        "sha256": upload.sha256,
        "filename": upload.filename,
        "received": received,
        "created_at": iso(upload.created_at),
        "expires_at": iso(upload.expires_at),
        "method": "PUT",
        "url": put.url,
        "headers": dict(put.headers),
        "urls": {"self": bundle.links.upload(upload.id)},
    }
