"""What one machine keeps between runs: the state folder, its secrets, the settings they make.

本机保存的状态：数据目录、密钥以及由此得到的设置。
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from infra.paths import ROOT
from shared import config
from shared.deliveries.signing import new_secret

VARIABLE = "MAQUETTE_HOME"
STANDIN_KEY = "tsk_standin"


class UsageError(Exception):
    """A flag asks for what cannot be; the message names it.

    命令行参数有误。
    """


@dataclass(frozen=True)
class Home:
    """The state folder, and the environment to run in: the process's own above `.env`.

    数据目录与运行环境。
    """

    folder: Path
    environ: Mapping[str, str]

    @property
    def secrets_file(self) -> Path:
        """Where the secrets made for this machine are.

        密钥文件。
        """
        return self.folder / "secrets.json"

    @property
    def needs_standin(self) -> bool:
        """Whether there is no key for the real Tripo.

        是否需要使用替身。
        """
        return not self.environ.get("TRIPO_API_KEY", "").strip(" ,")

    @property
    def has_qwen_image(self) -> bool:
        """Whether a Qwen-Image service is set already, or `off`: then there is to be none.

        是否已指定（或关闭）Qwen-Image 服务。
        """
        return bool(self.environ.get("QWEN_IMAGE_BASE_URL", "").strip())

    def complete(self, made: Mapping[str, str]) -> dict[str, str]:
        """The whole environment: what it leaves open comes from `made`, then from this machine.

        补全后的环境变量。
        """
        return self._completed(made, _secrets(self.secrets_file))

    def check(self, made: Mapping[str, str]) -> None:
        """Raise `SettingsError` naming every fault of the settings; nothing is made for it.

        检查设置，不创建任何文件。
        """
        path = self.secrets_file
        config.load(self._completed(made, _read(path) if path.exists() else _fresh()))

    def _completed(self, made: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
        """All settings: those given go before those made, and these before the home's own.

        补全各项设置。
        """
        given = {name: value for name, value in self.environ.items() if value}
        if self.needs_standin:
            # Without a key the real Tripo is no use: the stand-in's address goes first.
            given.pop("TRIPO_API_KEY", None)
            given.pop("TRIPO_BASE_URL", None)
        own = {
            VARIABLE: str(self.folder),
            "MAQUETTE_STORE_URL": f"sqlite:///{self.folder / 'maquette.db'}",
            "MAQUETTE_BUCKET_URL": f"file://{quote(str(self.folder / 'bucket'))}",
            "MAQUETTE_LINK_SECRET": kept["link_secret"],
            "MAQUETTE_WEBHOOK_SECRETS": kept["webhook_secret"],
            "MAQUETTE_LOG_FORMAT": "text",
        }
        return {**own, **made, **given}

    def settings(self, made: Mapping[str, str]) -> config.Settings:
        """The settings of the completed environment; raises `SettingsError` naming every fault.

        得到设置。
        """
        return config.load(self.complete(made))


def open_home(environ: Mapping[str, str] | None = None) -> Home:
    """The state folder: `MAQUETTE_HOME`, else `.maquette` in the checkout. It is made by whoever
    first writes to it, once the settings are accepted.

    找到数据目录。
    """
    process = dict(os.environ if environ is None else environ)
    known = {**config.read_dotenv(ROOT / ".env"), **process}
    folder = Path(known.get(VARIABLE) or ROOT / ".maquette").absolute()
    return Home(folder, known)


def _secrets(path: Path) -> dict[str, str]:
    """This machine's secrets, made by whichever process comes first; only the owner may read.

    读取或生成本机密钥。
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{uuid4().hex}")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps(_fresh(), indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, leaves what another process put there first.
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    return _read(path)


def _fresh() -> dict[str, str]:
    return {"link_secret": secrets.token_urlsafe(32), "webhook_secret": new_secret()}


def _read(path: Path) -> dict[str, str]:
    kept: dict[str, str] = json.loads(path.read_text())
    return kept
