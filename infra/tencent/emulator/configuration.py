"""What CreateFunction and UpdateFunctionConfiguration may say of a function, and what they may not.

After "CreateFunction" (583/18586) and the SDK's models; limits from "quota limits" (583/11637).

函数配置的校验。
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from infra.tencent.emulator.deployed import Deployed
from infra.tencent.emulator.errors import ApiError

Objects = Callable[[str, str], bytes]
"""An object of a bucket, by the bucket's full name and the key; raises LookupError."""

ENVIRONMENT_BYTES = 4096
ZIP_BYTES = 50 * 2**20
UNPACKED_BYTES = 500 * 2**20
MOST_LAYERS = 5
RUNTIMES = ("Python3.6", "Python3.7", "Python3.9", "Python3.10", "CustomRuntime", "CustomImage")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]")
_HANDLER = re.compile(r"[A-Za-z][\w-]*\.[A-Za-z][\w-]*")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_DESCRIPTION = re.compile(r"[A-Za-z0-9 ,.\n\u4e00-\u9fff]{0,1000}")
_RESERVED = ("SCF_", "QCLOUD_", "TENCENTCLOUD_")
_ASIDE = (
    "Description",
    "ClsLogsetId",
    "ClsTopicId",
    "PublicNetConfig",
    "IntranetConfig",
    "InstanceConcurrencyConfig",
    "DeadLetterConfig",
    "DnsCache",
    "DiskSize",
    "NodeType",
    "NodeSpec",
    "Tags",
)


def check_name(name: Any) -> str:
    """A function's name; raises `ApiError`.

    校验函数名。
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ApiError("InvalidParameterValue.FunctionName", f"{name!r} is no function's name")
    return name


def apply(function: Deployed, given: Mapping[str, Any]) -> None:
    """Change a function as a request's parameters say; raises `ApiError`, and nothing is changed.

    按参数修改函数配置。
    """
    changes: dict[str, Any] = {}
    for name, read in _READERS.items():
        if name in given:
            field, value = read(given[name])
            changes[field] = value
    more = {name: given[name] for name in _ASIDE if name in given}
    if not _DESCRIPTION.fullmatch(str(more.get("Description", ""))):
        raise ApiError("InvalidParameterValue.Description", "letters, digits, spaces, , and . only")
    concurrency = more.get("InstanceConcurrencyConfig", {}).get("MaxConcurrency", 1)
    if concurrency != 1 and (function.kind != "HTTP" or concurrency not in range(1, 101)):
        raise ApiError("InvalidParameterValue", "1 to 100 at once, and of web functions alone")
    for field, value in changes.items():
        setattr(function, field, value)
    function.more |= more
    if "InstanceConcurrencyConfig" in more:
        function.concurrency = concurrency


def code_of(given: Mapping[str, Any], objects: Objects | None, appid: str) -> bytes:
    """The zip that a request brings or points at in a bucket; raises `ApiError`.

    The bucket is named without its APPID, the object with a slash before it.

    读取代码包。
    """
    code = given.get("Code", given)
    sources = [name for name in ("ZipFile", "CosObjectName") if code.get(name)]
    if len(sources) != 1:
        raise ApiError("InvalidParameterValue.CodeSource", "one of ZipFile and CosObjectName")
    if sources == ["ZipFile"]:
        try:
            packed = base64.b64decode(code["ZipFile"], validate=True)
        except (TypeError, binascii.Error):
            raise ApiError("InvalidParameterValue.ZipFile", "not base64") from None
        if len(packed) > ZIP_BYTES:
            raise ApiError("InvalidParameterValue.ZipFile", "50 MB at most")
    else:
        packed = _object_of(code, objects, appid)
    check_zip(packed)
    return packed


def check_zip(packed: bytes) -> None:
    """Whether it is a zip that fits when it is unpacked; raises `ApiError`.

    校验 zip。
    """
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        raise ApiError("InvalidParameterValue.ZipFile", "no zip") from None
    if unpacked > UNPACKED_BYTES:
        raise ApiError("InvalidParameterValue.ZipFile", "500 MB at most when unpacked")


def _object_of(code: Mapping[str, Any], objects: Objects | None, appid: str) -> bytes:
    bucket, key = str(code.get("CosBucketName", "")), str(code["CosObjectName"])
    if not key.startswith("/"):
        raise ApiError("InvalidParameterValue.CosObjectName", "it begins with a slash")
    if objects is None or not bucket or bucket.endswith(f"-{appid}"):
        raise ApiError("InvalidParameterValue.CosBucketName", "the name without the APPID is meant")
    try:
        return objects(f"{bucket}-{appid}", key[1:])
    except LookupError:
        raise ApiError("ResourceNotFound.CosObject", f"there is no {key} in {bucket}") from None


def _environment(value: Any) -> tuple[str, dict[str, str]]:
    """The variables; one whose name and value are empty says that there are none.

    解析环境变量。
    """
    listed = value.get("Variables") if isinstance(value, dict) else None
    if not isinstance(listed, list):
        raise ApiError("InvalidParameterValue.Environment", "Variables are a list")
    if listed == [{"Key": "", "Value": ""}]:
        return "environment", {}
    made: dict[str, str] = {}
    for one in listed:
        name, text = one.get("Key"), one.get("Value")
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or name in made:
            raise ApiError("InvalidParameterValue.Environment", f"{name!r} is no variable's name")
        if name.startswith(_RESERVED):
            raise ApiError("InvalidParameterValue.EnvironmentSystemProtect", f"{name} is SCF's own")
        if not isinstance(text, str) or not text:
            raise ApiError("InvalidParameterValue.Environment", f"{name} has no value")
        made[name] = text
    if sum(len(f"{name}{text}".encode()) for name, text in made.items()) > ENVIRONMENT_BYTES:
        raise ApiError("InvalidParameterValue.EnvironmentExceededLimit", "4 KB at most")
    return "environment", made


def _memory(value: Any) -> tuple[str, int]:
    if not isinstance(value, int) or (value != 64 and (value % 128 or not 128 <= value <= 3072)):
        raise ApiError("InvalidParameterValue.Memory", "64, or 128 to 3072 in steps of 128")
    return "memory", value


def _within(field: str, name: str, low: int, high: int) -> Callable[[Any], tuple[str, int]]:
    def read(value: Any) -> tuple[str, int]:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ApiError(f"InvalidParameterValue.{name}", f"{low} to {high}")
        return field, value

    return read


def _handler(value: Any) -> tuple[str, str]:
    if not isinstance(value, str) or not _HANDLER.fullmatch(value):
        raise ApiError("InvalidParameterValue.Handler", "file.function, in the root of the zip")
    return "handler", value


def _vpc(value: Any) -> tuple[str, dict[str, str]]:
    if not isinstance(value, dict) or not set(value) <= {"VpcId", "SubnetId"}:
        raise ApiError("InvalidParameterValue.VpcConfig", "VpcId and SubnetId are meant")
    if bool(value.get("VpcId")) != bool(value.get("SubnetId")):
        raise ApiError("InvalidParameterValue.VpcConfig", "VpcId and SubnetId go together")
    return "vpc", {name: str(text) for name, text in value.items() if text}


def _role(value: Any) -> tuple[str, str]:
    return "role", str(value)


_READERS: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "MemorySize": _memory,
    "Timeout": _within("timeout", "Timeout", 1, 900),
    "InitTimeout": _within("init_timeout", "InitTimeout", 1, 300),
    "Environment": _environment,
    "Handler": _handler,
    "VpcConfig": _vpc,
    "Role": _role,
}
