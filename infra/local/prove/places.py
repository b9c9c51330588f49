"""Where the store and the bucket can be, as `--cloud` names it.

可选的存储位置。
"""

from __future__ import annotations

from infra.local.prove.place import LocalPlace, Place
from infra.local.prove.place_aws import AwsPlace

PLACES: dict[str, type[Place]] = {"aws": AwsPlace, "local": LocalPlace}
"""Each place by its name."""
