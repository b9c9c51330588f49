"""Where the store and the bucket can be, as `--cloud` names it.

可选的存储位置。
"""

from __future__ import annotations

from infra.local.prove.place import LocalPlace, Place
from infra.local.prove.place_aws import AwsPlace
from infra.local.prove.place_tencent import TencentPlace

PLACES: dict[str, type[Place]] = {"aws": AwsPlace, "local": LocalPlace, "tencent": TencentPlace}
"""Each place by its name."""
