"""The kinds of job: which input each needs, and what it gives.

任务的种类及其所需的输入。
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.inputs.media import Media


@dataclass(frozen=True)
class Kind:
    """What one kind of job takes: a prompt or not; files by role, each a picture or a model, and
    how many at least.

    一类任务的输入要求。
    """

    name: str
    takes_prompt: bool
    roles: Mapping[str, Media] = field(default_factory=dict)
    required_roles: tuple[str, ...] = ()
    min_inputs: int = 0
    result_role: str = "model"

    @property
    def image_roles(self) -> tuple[str, ...]:
        """The roles that take a picture.

        接受图片的角色。
        """
        return tuple(role for role, media in self.roles.items() if media is Media.PICTURE)


def _pictures(*roles: str) -> dict[str, Media]:
    return dict.fromkeys(roles, Media.PICTURE)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("text-to-3d", takes_prompt=True),
        Kind("image-to-3d", False, _pictures("image"), ("image",), 1),
        Kind("multiview-to-3d", False, _pictures("front", "left", "back", "right"), ("front",), 2),
        Kind("text-to-image", takes_prompt=True, result_role="image"),
        Kind(
            "image-to-image", True, _pictures("image", "mask"), ("image",), 1, result_role="image"
        ),
    )
}
"""Every kind that can be asked for, by name."""


def role_names() -> tuple[str, ...]:
    """Every name that an input can be sent under, of any kind.

    全部输入角色的名称。
    """
    return tuple(dict.fromkeys(role for kind in KINDS.values() for role in kind.roles))
