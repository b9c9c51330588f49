"""The kinds of job: which input each needs, and what it gives.

任务的种类及其所需的输入。
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What one kind of job takes: a prompt or not, which picture roles, how many at least.

    一类任务的输入要求。
    """

    name: str
    takes_prompt: bool
    image_roles: tuple[str, ...] = ()
    required_roles: tuple[str, ...] = ()
    min_images: int = 0
    result_role: str = "model"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("text-to-3d", takes_prompt=True),
        Kind("image-to-3d", False, ("image",), ("image",), 1),
        Kind("multiview-to-3d", False, ("front", "left", "back", "right"), ("front",), 2),
        Kind("text-to-image", takes_prompt=True, result_role="image"),
        Kind("image-to-image", True, ("image", "mask"), ("image",), 1, result_role="image"),
    )
}
"""Every kind that can be asked for, by name."""
