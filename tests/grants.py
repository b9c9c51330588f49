"""What is done to what, and what is allowed on what: the same words on every cloud.

操作与授权的通用表示。
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Call:
    """One thing that is done to one resource: an action, and the resource, as policies name them.

    对某个资源的一次操作。
    """

    action: str
    resource: str


@dataclass(frozen=True)
class Grant:
    """An action that is allowed on the resources that match a pattern.

    一项授权。
    """

    action: str
    resource: str

    def covers(self, call: Call) -> bool:
        """Whether the call is allowed by this.

        是否覆盖某次操作。
        """
        # In a policy `*` crosses slashes, as in fnmatch; brackets mean nothing there.
        pattern = self.resource.replace("[", "[[]")
        return self.action == call.action and fnmatch.fnmatchcase(call.resource, pattern)
