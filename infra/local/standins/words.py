"""What a prompt names, in English and Chinese: the thing, what it is made of, the colours of parts.

Reading is by words alone: the first thing named, the last one of a compound ("apple tree"), not one
that only says what another is like ("a heart-shaped box", "桌上的杯子").
从提示词中找出要做的东西、材质和颜色。
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

MATERIALS: Mapping[tuple[str, ...], tuple[str, float, float]] = {
    ("wooden", "wood", "oak", "bamboo", "木制", "木头", "木质", "木", "竹"): ("8a5a2b", 0.0, 0.75),
    ("golden", "gold", "黄金", "金色", "金"): ("d4a017", 0.6, 0.3),
    ("silver", "chrome", "银色", "银"): ("c8ccd0", 0.6, 0.3),
    ("bronze", "brass", "copper", "青铜", "铜"): ("b0713a", 0.6, 0.4),
    ("iron", "steel", "metal", "metallic", "铁", "钢", "金属"): ("8d9299", 0.6, 0.45),
    ("stone", "rock", "marble", "concrete", "石头", "石", "大理石"): ("8c8880", 0.0, 0.95),
    ("jade", "玉", "翡翠"): ("3f9e6e", 0.0, 0.25),
    ("glass", "crystal", "ice", "玻璃", "水晶", "冰"): ("bfe3ee", 0.0, 0.08),
    ("ceramic", "porcelain", "clay", "陶瓷", "瓷", "陶"): ("f2efe6", 0.0, 0.2),
    ("leather", "皮革", "皮"): ("6b4226", 0.0, 0.7),
    ("plastic", "塑料"): ("d9d9d6", 0.0, 0.35),
}
"""Words for what a surface is made of: its colour (sRGB in hex), metallic, roughness."""

COLORS: Mapping[tuple[str, ...], str] = {
    ("red", "crimson", "scarlet", "红"): "c62828",
    ("orange", "橙", "橘"): "ef7d1a",
    ("yellow", "黄"): "f2c42c",
    ("green", "绿"): "2e8b3d",
    ("cyan", "teal", "turquoise", "青"): "1fa3a3",
    ("blue", "navy", "蓝"): "2456c8",
    ("purple", "violet", "紫"): "7b3fb5",
    ("pink", "粉"): "ee8fb3",
    ("brown", "棕", "褐"): "7a4a2a",
    ("black", "黑"): "202226",
    ("white", "白"): "f0f0ee",
    ("grey", "gray", "灰"): "8a8d91",
}
"""Words for colours: sRGB in hex."""

SIZES: Mapping[tuple[str, ...], tuple[float, float, float]] = {
    ("tall", "high", "高"): (1.0, 1.35, 1.0),
    ("low", "short", "squat", "矮"): (1.0, 0.72, 1.0),
    ("wide", "broad", "fat", "chubby", "宽", "胖"): (1.3, 1.0, 1.15),
    ("thin", "slim", "narrow", "slender", "瘦", "细", "窄"): (0.75, 1.0, 0.8),
}
"""Words for proportions: the factors along x, y and z."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "wheels": ("wheel", "tyre", "tire", "车轮", "轮子", "轮胎", "轮"),
    "roof": ("roof", "屋顶", "房顶", "顶"),
    "eyes": ("eye", "眼睛", "眼"),
    "leaves": ("leaf", "leaves", "foliage", "叶子", "树叶", "叶"),
    "stem": ("stem", "trunk", "stalk", "树干", "茎"),
    "petals": ("petal", "花瓣"),
    "legs": ("leg", "feet", "foot", "腿", "脚"),
    "handle": ("handle", "把手", "手柄", "柄"),
    "shade": ("lampshade", "shade", "灯罩"),
    "windows": ("window", "窗户", "窗"),
    "door": ("door", "门"),
    "wings": ("wing", "翅膀", "机翼", "翼"),
    "sails": ("sail", "船帆", "帆"),
    "cushion": ("cushion", "pillow", "seat", "坐垫", "枕头", "垫子"),
    "beak": ("beak", "bill", "nose", "嘴", "鼻子"),
    "blade": ("blade", "剑刃", "刀刃"),
    "flame": ("flame", "fire", "火焰", "火"),
    "lid": ("lid", "cap", "盖子", "盖"),
}
"""Words for parts of things, whose colour may be named by itself."""

_OTHERS = (
    *("hot dog", "seahorse", "car park", "house fly", "tree frog", "catfish", "starfish"),
    *("猫头鹰", "熊猫", "热狗", "海马", "河马", "鱼缸", "花园", "花生", "书包", "车站", "车库"),
    *("杯垫", "灯泡", "星球", "床单", "章鱼", "鲸鱼", "鳄鱼", "海星"),
)
"""Words that hold a thing's name and mean another thing."""
_DESCRIBES = re.compile(
    r"[- ]?(?:shaped|themed|style)\b(?! like)|形状|造型|形"
    r"|(?:样子|样|上面|里面|下面|旁边|上|里|下|中|旁|边)?的"
)
"""What follows a thing that is only said to describe, or to hold, another one."""


@dataclass(frozen=True)
class Surface:
    """What a surface looks like: colour (sRGB in hex), metallic and roughness from 0 to 1.

    表面的颜色与质感。
    """

    color: str
    metallic: float = 0.0
    rough: float = 0.55


@dataclass
class Named:
    """What words say of a surface, each None where they say nothing.

    提示词对表面的描述。
    """

    color: str | None = None
    material: tuple[str, float, float] | None = None

    def over(self, usual: Surface) -> Surface:
        """The surface that is meant, given how it usually looks.

        得到最终的表面。
        """
        color, metallic, rough = usual.color, usual.metallic, usual.rough
        if self.material is not None:
            color, metallic, rough = self.material
        return Surface(self.color or color, metallic, rough)

    @property
    def says_nothing(self) -> bool:
        """Whether neither colour nor material is named.

        是否什么也没说。
        """
        return self.color is None and self.material is None


@dataclass(frozen=True)
class Reading:
    """What a prompt asks for: a thing's name or None, its main surface, those of parts by name, and
    its proportions.

    对提示词的理解。
    """

    thing: str | None
    main: Named = field(default_factory=Named)
    parts: Mapping[str, Named] = field(default_factory=dict)
    size: tuple[float, float, float] = (1.0, 1.0, 1.0)


_ANOTHER = "another thing"


@dataclass(frozen=True)
class _Word:
    """A known word at its place: `kind` is thing, part, color, material, size or other."""

    start: int
    end: int
    kind: str
    what: str


def read(prompt: str, things: Mapping[str, tuple[str, ...]]) -> Reading:
    """What the prompt says, of the `things` known: their names to the words for them.

    理解提示词。
    """
    text = prompt.lower()
    words = [*_known(text, _table(tuple(things.items())))]
    compound = _compound(text, [word for word in words if word.kind in ("thing", "other")])
    surfaces: dict[str | None, Named] = {}
    for place, word in enumerate(words):
        if word.kind not in ("color", "material"):
            continue
        named = surfaces.setdefault(_meant(words, place, compound), Named())
        if word.kind == "color":
            named.color = named.color or word.what
        else:
            named.material = named.material or _MATERIAL_OF[word.what]
    size = [1.0, 1.0, 1.0]
    for word in words:
        if word.kind == "size":
            size = [one * two for one, two in zip(size, _SIZE_OF[word.what], strict=True)]
    main = surfaces.pop(None, Named())
    parts = {name: named for name, named in surfaces.items() if name and name in PARTS}
    bounded = (_bounded(size[0]), _bounded(size[1]), _bounded(size[2]))
    thing = compound[-1].what if compound else None
    return Reading(thing, main, parts, bounded)


def _bounded(factor: float) -> float:
    return min(2.0, max(0.5, factor))


def _compound(text: str, words: list[_Word]) -> list[_Word]:
    """The words of the first compound that does not only describe another; its last one is the
    thing. Empty if what is meant is none that is known.

    找出所指的复合词。
    """
    runs: list[list[_Word]] = []
    for word in words:
        if runs and not text[runs[-1][-1].end : word.start].strip(" -"):
            runs[-1].append(word)
        else:
            runs.append([word])
    for place, run in enumerate(runs):
        if _DESCRIBES.match(text, run[-1].end) and place + 1 < len(runs):
            continue
        return run if run[-1].kind == "thing" else []
    return []


def _meant(words: list[_Word], place: int, compound: list[_Word]) -> str | None:
    """Which part a colour or material is said of; None for the whole."""
    for word in words[place + 1 :]:
        if word.kind == "part":
            return word.what
        if word.kind == "thing":
            # What is said of another thing ("on a wooden table") is said of nothing here.
            return None if not compound or word in compound else _ANOTHER
    return None


def _known(
    text: str, table: tuple[re.Pattern[str], Mapping[str, tuple[str, str]]]
) -> Iterator[_Word]:
    pattern, meaning = table
    for hit in pattern.finditer(text):
        kind, what = meaning[hit.lastgroup or ""]
        yield _Word(hit.start(), hit.end(), kind, what)


@lru_cache(maxsize=4)
def _table(
    things: tuple[tuple[str, tuple[str, ...]], ...],
) -> tuple[re.Pattern[str], Mapping[str, tuple[str, str]]]:
    """One pattern of all words, the longest first, and what each of its groups means.

    全部词语的匹配表。
    """
    known: dict[str, tuple[str, str]] = dict.fromkeys(_OTHERS, ("other", ""))
    for names in SIZES:
        known |= dict.fromkeys(names, ("size", names[0]))
    for names, color in COLORS.items():
        known |= dict.fromkeys(names, ("color", color))
    for names in MATERIALS:
        known |= dict.fromkeys(names, ("material", names[0]))
    for part, names in PARTS.items():
        known |= dict.fromkeys(names, ("part", part))
    for thing, names in things:
        known |= dict.fromkeys(names, ("thing", thing))
    groups, meaning = [], {}
    for number, word in enumerate(sorted(known, key=len, reverse=True)):
        spelled = re.escape(word)
        if word.isascii():
            spelled = rf"(?<![a-z]){spelled}(?:e?s)?(?![a-z])"
        groups.append(f"(?P<w{number}>{spelled})")
        meaning[f"w{number}"] = known[word]
    return re.compile("|".join(groups)), meaning


_MATERIAL_OF = {names[0]: look for names, look in MATERIALS.items()}
_SIZE_OF = {names[0]: factors for names, factors in SIZES.items()}
