"""Settings: defaults, then a file, then the environment, then flags; every fault named at once.

A setting `batch_size` is `batch_size` in the file (YAML), QWEN_IMAGE_BATCH_SIZE in the environment
and `--batch-size` among the flags. `config.yaml` lists them all.

服务的全部设置：默认值、文件、环境变量、命令行参数，依次覆盖。
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PREFIX = "QWEN_IMAGE_"

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Bytes = Annotated[int, Field(gt=0, le=2**40)]
Count = Annotated[int, Field(ge=1, le=100_000)]
# Each side of a picture is a multiple of this: the VAE's 8 times the transformer's patch of 2.
# (2.1: 16 times 2; see Engine.info for the loaded model's own.)
SIDE_STEP = 16


class SettingsError(Exception):
    """One or more settings are wrong; `faults` names each, never its secret value.

    设置有误；列出所有问题。
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults

    def report(self) -> str:
        """What to print before exiting with status 2.

        打印给操作者看的说明。
        """
        lines = "\n".join(f"  - {fault}" for fault in self.faults)
        return f"The service cannot start, {len(self.faults)} setting(s) are wrong:\n{lines}"


class Settings(BaseModel):
    """Every setting there is; `config.yaml` explains each.

    全部设置项。
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    # The model.
    model: Annotated[str, Field(min_length=1)]
    revision: str = ""
    offline: bool = False
    accept_research_licence: bool = False
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0

    # What makes it faster or smaller; see the guide for what each does to the picture.
    lora: str = ""
    lora_file: str = ""
    lora_scale: Annotated[float, Field(gt=0, le=4)] = 1.0
    lightning_schedule: bool = False
    fp8: bool = False
    compile: bool = False
    step_cache: Literal["off", "first-block"] = "off"
    step_cache_threshold: Annotated[float, Field(gt=0, le=1)] = 0.1
    attention: Annotated[str, Field(pattern=r"^[a-z0-9_]*$")] = ""
    offload: Literal["none", "model", "group"] = "none"
    vae_tiling: bool = False
    vae_single_frame: bool = False

    # What may be asked for, and what is taken where a request does not say.
    width: Annotated[int, Field(ge=16, le=8192, multiple_of=SIDE_STEP)] = 1024
    height: Annotated[int, Field(ge=16, le=8192, multiple_of=SIDE_STEP)] = 1024
    steps: Annotated[int, Field(ge=2, le=1000)] = 50
    guidance: Annotated[float, Field(ge=1, le=30)] = 4.0
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    min_side: Annotated[int, Field(ge=16, le=8192, multiple_of=SIDE_STEP)] = 64
    max_side: Annotated[int, Field(ge=16, le=8192, multiple_of=SIDE_STEP)] = 2752
    max_pixels: Annotated[int, Field(ge=256, le=2**26)] = 2048 * 2048
    max_steps: Annotated[int, Field(ge=2, le=1000)] = 100
    max_guidance: Annotated[float, Field(ge=1, le=30)] = 20.0
    max_images: Annotated[int, Field(ge=1, le=100)] = 10
    image_bytes: Bytes = 20 * 2**20
    image_pixels: Annotated[int, Field(ge=256, le=2**30)] = 50_000_000

    # The queue.
    queue_size: Count = 64
    batch_size: Annotated[int, Field(ge=1, le=64)] = 4
    batch_pixels: Annotated[int, Field(ge=256, le=2**30)] = 4 * 1024 * 1024
    batch_window: Annotated[float, Field(ge=0, le=10)] = 0.02
    request_seconds: Seconds = 900.0
    grace_seconds: Seconds = 120.0

    # The server.
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9000
    api_keys: Annotated[tuple[str, ...], Field(repr=False)] = ()
    rate_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    body_bytes: Bytes = 32 * 2**20
    state: Path = Path("qwen-image-state")
    keep_hours: Annotated[float, Field(gt=0, le=24 * 365)] = 24.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part for part in (p.strip() for p in value.split(",")) if part)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        """Refuse settings that contradict each other, all of them named at once.

        检查各项设置是否相互矛盾。
        """
        faults = []
        if self.min_side > self.max_side:
            faults.append("min_side is above max_side")
        for name in ("width", "height"):
            if not self.min_side <= getattr(self, name) <= self.max_side:
                faults.append(f"{name} is not between min_side and max_side")
        if self.width * self.height > self.max_pixels:
            faults.append("width × height is above max_pixels")
        if self.steps > self.max_steps:
            faults.append("steps is above max_steps")
        if self.guidance > self.max_guidance:
            faults.append("guidance is above max_guidance")
        if self.lora_file and not self.lora:
            faults.append("lora_file is set and lora is not")
        if self.fp8 and self.offload == "group":
            faults.append("fp8 and offload: group do not go together")
        if self.batch_size > 1 and _takes_no_padding(self.attention):
            faults.append(f"attention: {self.attention} takes no padding; set batch_size to 1")
        if faults:
            raise ValueError("; ".join(faults))
        return self


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the settings; raises SettingsError naming every fault, SystemExit for `--help`.

    读取设置。
    """
    flags = vars(_parser().parse_args(arguments))
    faults: list[str] = []
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    file = flags.pop("config") or environ.get(PREFIX + "CONFIG")
    for name, value in _from_file(file, faults).items():
        values[name], origin[name] = value, f"{name} in {file}"
    for name in Settings.model_fields:
        key = PREFIX + name.upper()
        if environ.get(key, "") != "":
            values[name], origin[name] = environ[key], key
        if flags[name] is not None:
            values[name], origin[name] = flags[name], "--" + name.replace("_", "-")
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += _described(error, origin)
    if faults:
        raise SettingsError(faults)
    return settings


def _takes_no_padding(attention: str) -> bool:
    """Say whether the back end refuses prompts of different lengths in one batch.

    They are padded to the longest, and masked. (diffusers' models/attention_dispatch.py)

    该注意力后端是否不支持填充。
    """
    if "varlen" in attention:
        return False
    return any(part in attention for part in ("flash", "sage", "aiter", "xla"))


def _from_file(file: str | None, faults: list[str]) -> dict[str, Any]:
    """Read the settings file; what is wrong with it is added to the faults.

    读取设置文件。
    """
    if not file:
        return {}
    try:
        read = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        faults.append(f"{file}: cannot be read: {' '.join(str(error).split())}")
        return {}
    if read is None:
        return {}
    if not isinstance(read, dict):
        faults.append(f"{file}: must hold `name: value` lines")
        return {}
    faults += [f"{name!r} in {file}: no such setting" for name in read if name not in _NAMES]
    # A line without a value leaves the default.
    return {name: value for name, value in read.items() if name in _NAMES and value is not None}


def _described(error: ValidationError, origin: Mapping[str, str]) -> list[str]:
    """Each fault with the place it was set in, and never with its value, which may be a secret.

    逐条说明错误，不含取值。
    """
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        if not name:
            lines += message.split("; ")
        elif fault["type"] == "missing":
            lines.append(f"{name} is not set: use --{name}, {PREFIX}{name.upper()} or the file")
        else:
            lines.append(f"{origin.get(name, name)}: {message}")
    return lines


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line: one flag for each setting.

    命令行参数解析器。
    """
    parser = argparse.ArgumentParser(
        prog="python -m gpu_inference",
        description="Serve a Qwen-Image model. Flags override QWEN_IMAGE_… variables and the file.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="settings, one `name: value` a line")
    notes = _notes()
    for name, field in Settings.model_fields.items():
        flag = "--" + name.replace("_", "-")
        default = "" if field.is_required() else f"(default: {_shown(field.default)})"
        told = f"{notes.get(name, '')} {default}".strip().replace("%", "%%")
        if field.annotation is bool:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None, help=told
            )
        else:
            parser.add_argument(flag, metavar=_kind(field.annotation), help=told)
    return parser


def _notes() -> dict[str, str]:
    """Return what `config.yaml` says of each setting behind its line.

    从 config.yaml 读取各设置的说明。
    """
    text = (Path(__file__).parent / "config.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\w+):[^#\n]*# (.+)$", text, re.MULTILINE))


def _shown(default: Any) -> str:
    return "none" if default in ("", ()) else str(default)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(annotation.__args__)
    return {int: "N", float: "X", Path: "DIR"}.get(annotation, "TEXT")


_NAMES = frozenset(Settings.model_fields)
