"""What may be sent to make a job: one schema for each kind, as JSON and as a form.

They are made of the kinds (which files each takes), of the options of the providers that are wired
here, and of the settings (how long a prompt may be). A kind that nobody makes here has none.

创建任务的请求结构：每个种类一个，分 JSON 与表单两种。
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.api.docs import patterns
from functions.api.docs.plain import properties
from functions.api.requests import CreateModel
from shared.config import Settings
from shared.jobs.kinds import KINDS, Kind
from shared.wiring import Bundle

REF = "#/components/schemas/"

_DOORS = {"TextToImage": "text-to-image", "ImageToImage": "image-to-image"}
"""The bodies of the routes that make one kind only; options are fields of their own there."""

_SHORT = {
    "ModelFromPrompt": "text-to-3d",
    "ModelFromImage": "image-to-3d",
    "ModelFromViews": "multiview-to-3d",
}
"""The bodies that need no `kind`: it follows from what is in them."""

_ABOUT = {
    "text-to-3d": "A model made from words.",
    "image-to-3d": "A model made from a picture.",
    "multiview-to-3d": "A model made from views: the front, and one more at least.",
    "text-to-image": "Pictures made from words.",
    "image-to-image": "Pictures made from a picture and words.",
}
_PROMPTS = {
    "text-to-3d": "a small red toy robot",
    "text-to-image": "a teapot shaped like a house",
    "image-to-image": "the same in blue",
}
_ROLE = {
    "mask": "Of the picture's size: white is painted anew, black is kept as it is.",
}
_PHOTO = {
    "image": "https://shop.example.com/chair.jpg",
    "front": "https://shop.example.com/front.jpg",
    "left": "https://shop.example.com/left.jpg",
}
FILE = "(the file)"
"""What stands for a file in the examples of forms."""


@dataclass(frozen=True)
class _Shape:
    """How one kind is asked for: by a form or as JSON, with its name or without, options in an
    object of their own or each a field.

    一种请求的写法。
    """

    kind: Kind
    form: bool
    named: bool = True
    loose: bool = False


def add(bundle: Bundle, parts: dict[str, Any]) -> None:
    """Add every body that makes a job, and the providers' options, to `parts`, by name.

    把全部创建任务的请求结构加入文档。
    """
    parts["UrlReference"]["properties"]["url"] |= patterns.input_url(bundle.settings)
    parts["Picture"] = _picture(bundle.settings)
    made_here = {name for one in bundle.providers.values() for name in one.options}
    kinds = [kind for kind in KINDS.values() if kind.name in made_here] or [*KINDS.values()]
    maker = _Maker(bundle, parts)
    for form, ending in ((False, ""), (True, "Form")):
        named = {kind.name: f"Create{_camel(kind.name)}{ending}" for kind in kinds}
        short = {f"{name}{ending}": KINDS[kind] for name, kind in _SHORT.items() if kind in named}
        for kind in kinds:
            parts[named[kind.name]] = maker.body(_Shape(kind, form, loose=form))
        for name, kind in short.items():
            parts[name] = maker.body(_Shape(kind, form, named=False, loose=form))
        for name, door in _DOORS.items():
            shape = _Shape(KINDS[door], form, named=False, loose=True)
            parts[f"{name}{ending}"] = maker.body(shape)
        if form:
            parts["CreateJobForm"] = _flat([*named.values()], parts)
            parts["CreateModelForm"] = _flat([*named.values(), *short], parts)
        else:
            mapping = {kind: f"{REF}{name}" for kind, name in named.items()}
            told = {"propertyName": "kind", "mapping": mapping}
            parts["CreateJob"] = {**_one_of([*named.values()], parts), "discriminator": told}
            parts["CreateModel"] = _one_of([*short, *named.values()], parts)


class _Maker:
    """Makes the schemas for one deployment."""

    def __init__(self, bundle: Bundle, parts: dict[str, Any]) -> None:
        self._bundle = bundle
        self._common = properties(CreateModel.model_json_schema())
        self._common["callback_url"] |= patterns.callback_url(bundle.settings)
        self._options: dict[str, list[dict[str, Any]]] = {}
        self._names: dict[str, list[str]] = {}
        for name, kind, schema in _options(bundle, parts):
            self._options.setdefault(kind, []).append(schema)
            self._names.setdefault(kind, []).append(name)

    def body(self, shape: _Shape) -> dict[str, Any]:
        """The schema of one way to ask for one kind.

        一种写法的结构。
        """
        kind = shape.kind
        fields = {**self._said(shape), **self._files(shape), **self._usual(shape)}
        needed = [*(["kind"] if shape.named else []), *(["prompt"] if kind.takes_prompt else [])]
        made: dict[str, Any] = {
            "type": "object",
            "description": _ABOUT.get(kind.name, f"What {kind.name} takes."),
            "properties": fields,
            "required": [*needed, *kind.required_roles],
            "additionalProperties": False,
            "examples": [_example(shape)],
        }
        if not made["required"]:
            del made["required"]
        others = [role for role in kind.roles if role not in kind.required_roles]
        if kind.min_inputs > len(kind.required_roles):
            # Told so that those who know nothing of it still see one plain object.
            wanted = {"anyOf": [{"required": [role]} for role in others]}
            made["dependentSchemas"] = dict.fromkeys(kind.required_roles, wanted)
        known = self._options.get(kind.name, [])
        if shape.loose and len(known) == 1 and "dependentSchemas" in known[0]:
            made["dependentSchemas"] = {
                **made.get("dependentSchemas", {}),
                **known[0]["dependentSchemas"],
            }
        return made

    def _said(self, shape: _Shape) -> dict[str, Any]:
        """The fields that say what is wanted: kind, prompt and options.

        种类、提示词与选项字段。
        """
        kind, fields = shape.kind, {}
        if shape.named:
            fields["kind"] = {"type": "string", "enum": [kind.name]}
        if kind.takes_prompt:
            longest = self._bundle.settings.prompt_characters
            fields["prompt"] = {"description": "What is to be seen.", **patterns.prompt(longest)}
        if shape.loose:
            return {**fields, **_merged(self._options.get(kind.name, []))}
        refs = [{"$ref": f"{REF}{name}"} for name in self._names.get(kind.name, [])]
        if refs:
            told: dict[str, Any] = {**refs[0]} if len(refs) == 1 else {"anyOf": refs}
            fields["options"] = {**told, "description": "The provider's options for this kind."}
        return fields

    def _files(self, shape: _Shape) -> dict[str, Any]:
        """The fields that hold files: parts of a form, or what stands for a file in JSON.

        文件字段。
        """
        made: dict[str, Any] = {}
        for role in shape.kind.roles:
            about = _ROLE.get(role, f"The {role} picture." if role != "image" else "The picture.")
            if shape.form:
                text = "As a text field: a reference, as JSON has it, or an https:// URL."
                made[role] = {
                    "type": "string",
                    "format": "binary",
                    "description": f"{about} A JPEG, PNG or WebP. {text}",
                }
            else:
                made[role] = {"$ref": f"{REF}Picture", "description": about}
        return made

    def _usual(self, shape: _Shape) -> dict[str, Any]:
        """The fields of all kinds: who makes it, what is kept with it, who is told."""
        able = [
            one.name for one in self._bundle.providers.values() if shape.kind.name in one.options
        ]
        provider = {**self._common["provider"], **({"enum": able} if able else {})}
        return {
            "provider": provider,
            "metadata": self._common["metadata"],
            "callback_url": self._common["callback_url"],
        }


def _picture(settings: Settings) -> dict[str, Any]:
    """What stands for a picture in JSON: a text, or a reference to what lies elsewhere.

    JSON 中表示图片的写法。
    """
    text = {
        "type": "string",
        "minLength": 1,
        "description": "An https:// URL, a data: URL, or a file in Base64.",
        "pattern": patterns.file_text(settings),
    }
    kinds = ("UploadReference", "ArtifactReference", "UrlReference")
    return {
        "description": "A JPEG, PNG or WebP.",
        "oneOf": [text, *({"$ref": f"{REF}{name}"} for name in kinds)],
        "examples": [_PHOTO["image"]],
    }


def _options(bundle: Bundle, parts: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every provider's options of every kind, added to `parts`: their name, kind and schema.

    各生成服务的选项。
    """
    for provider in bundle.providers.values():
        for kind, model in provider.options.items():
            name = f"Options.{provider.name}.{kind}"
            schema = model.model_json_schema(ref_template=f"{REF}{name}.{{model}}")
            for inner, definition in schema.pop("$defs", {}).items():
                parts[f"{name}.{inner}"] = definition
            schema["properties"] = properties(schema)
            schema["title"] = f"Options of {kind} by {provider.name}"
            parts[name] = schema
            yield name, kind, schema


def _merged(objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The properties of several objects as those of one; of one that differs, what is common."""
    found: dict[str, Any] = {}
    for schema in objects:
        for name, one in schema["properties"].items():
            known = found.get(name, one)
            found[name] = {word: told for word, told in one.items() if known.get(word) == told}
            if "enum" in one and "enum" in known:
                found[name]["enum"] = [*dict.fromkeys([*known["enum"], *one["enum"]])]
    return found


def _flat(names: Sequence[str], parts: Mapping[str, Any]) -> dict[str, Any]:
    """A form for all kinds as one object: generators and pages make no form of a choice.

    That it must be one of the kinds' own forms is told where they do not look.

    各种类合成的一张表单。
    """
    made = {
        "type": "object",
        "description": "What one of the kinds takes; objects and lists are JSON text.",
        "properties": _merged([parts[name] for name in names]),
        "additionalProperties": False,
        "allOf": [{"anyOf": [{"$ref": f"{REF}{name}"} for name in names]}],
        "examples": next(
            (parts[one]["examples"] for one in names if _has_file(parts[one])),
            parts[names[0]]["examples"],
        ),
    }
    return {**made, "required": ["kind"]} if _names_kind(names, parts) else made


def _names_kind(names: Sequence[str], parts: Mapping[str, Any]) -> bool:
    return all("kind" in parts[name].get("required", ()) for name in names)


def _has_file(schema: Mapping[str, Any]) -> bool:
    return FILE in schema["examples"][0].values()


def _one_of(names: Sequence[str], parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "oneOf": [{"$ref": f"{REF}{name}"} for name in names],
        "examples": parts[names[0]]["examples"],
    }


def _example(shape: _Shape) -> dict[str, Any]:
    kind = shape.kind
    made: dict[str, Any] = {"kind": kind.name} if shape.named else {}
    if kind.takes_prompt:
        made["prompt"] = _PROMPTS.get(kind.name, "a small red toy robot")
    for role in list(kind.roles)[: max(kind.min_inputs, len(kind.required_roles))]:
        made[role] = FILE if shape.form else _PHOTO.get(role, _PHOTO["image"])
    made["metadata"] = {"order": "A-1001"}
    return made


def _camel(kind: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in kind.split("-")).replace("3d", "3D")
