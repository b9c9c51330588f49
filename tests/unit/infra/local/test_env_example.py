"""The example of a settings file names every setting.

测试设置示例文件是否完整。
"""

from __future__ import annotations

import re
from itertools import pairwise

from infra.local.cloud.home import VARIABLE
from infra.paths import ROOT
from shared.config import variables


def test_the_example_file_explains_every_setting_and_nothing_else() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = [match[1] for line in lines if (match := re.match(r"# ([A-Z_]+)=", line))]
    assert sorted(named) == sorted([VARIABLE, *variables()])
    for before, line in pairwise(lines):
        if re.match(r"# [A-Z_]+=", line):
            assert re.match(r"# .*[.:;)]$", before), f"{line} is not explained above"


def test_the_example_file_sets_nothing_by_itself() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
