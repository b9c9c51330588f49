"""What a provider's answer means for the credential it was given: it rests, or it is trusted again.

生成服务的应答对凭证的影响：休息或恢复。
"""

from __future__ import annotations

from shared.jobs import lifecycle
from shared.jobs.lifecycle import Moment
from shared.jobs.ports import Ports
from shared.jobs.rests import Purpose, Reason
from shared.providers.base import (
    OutOfCredit,
    Provider,
    ProviderError,
    RateLimited,
    Rejected,
    Unauthorized,
)

_SAID = {
    "unauthorized": "does not accept this credential",
    "out_of_credit": "says that this credential's account has no credit left",
}


def refused(
    ports: Ports,
    provider: Provider,
    credential: str,
    error: ProviderError,
    purpose: Purpose = "create",
) -> Moment:
    """Now; from here on a credential rests whose provider asked for patience, whose account cannot
    be used, or that has had no answer several times in a row.

    返回当前时刻，并按错误让凭证休息。
    """
    at = ports.moment()
    hint = lifecycle.hint_of(error)
    if isinstance(error, Unauthorized | OutOfCredit):
        reason: Reason = "unauthorized" if isinstance(error, Unauthorized) else "out_of_credit"
        until = at.now + ports.policy.pause(1, at.chance, ports.policy.account_pause)
        ports.rests.rest(provider.name, credential, until, reason, purpose)
        setting = ports.key_variables.get(provider.name, "it")
        said = f"{provider.name} {_SAID[reason]}: see to {setting}."
        ports.notices.post(_notice(provider, credential), said)
    elif isinstance(error, Rejected):
        answered(ports, provider, credential, purpose)
    elif (
        isinstance(error, RateLimited)
        or hint is not None
        or ports.rests.stumbled(provider.name, credential, purpose)
    ):
        until = at.now + ports.policy.pause(1, at.chance, hint)
        ports.rests.rest(provider.name, credential, until, purpose=purpose)
    return at


def answered(
    ports: Ports, provider: Provider, credential: str, purpose: Purpose = "create"
) -> None:
    """The provider took a request with this credential.

    凭证可用。
    """
    if ports.rests.accepted(provider.name, credential, purpose):
        ports.notices.clear(_notice(provider, credential))


def _notice(provider: Provider, credential: str) -> str:
    return f"credential {provider.name}/{credential}"
