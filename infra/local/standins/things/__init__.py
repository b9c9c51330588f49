"""Simple things that the stand-in can build, by name.

Each is a handful of closed parts, standing on the ground and facing +z, its proportions a little
different with every seed. Nothing here is generated.
替身能搭建的几十种简单物体。
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.local.standins.things import (
    animals,
    buildings,
    furniture,
    machines,
    objects,
    plants,
    shapes,
    vessels,
)
from infra.local.standins.things.base import USUAL, Dice, Thing, thing

THINGS: Mapping[str, Thing] = {
    "chair": thing("chair armchair 椅子 椅 座椅", "a9743c", furniture.chair),
    "stool": thing("stool 凳子 板凳 圆凳 凳", "a9743c", furniture.stool),
    "table": thing("table desk 桌子 书桌 餐桌 桌", "9a6a3a", furniture.table),
    "bed": thing("bed 床 大床", "8a5a33", furniture.bed),
    "sofa": thing("sofa couch 沙发", None, furniture.sofa),
    "lamp": thing("lamp 台灯 灯 落地灯", "6b6f76", furniture.lamp, "shade"),
    "shelf": thing("bookshelf bookcase shelf shelves 书架 书柜", "8a5a33", furniture.shelf),
    "vase": thing("vase urn 花瓶", None, vessels.vase),
    "cup": thing("cup mug teacup 杯子 茶杯 马克杯 水杯 杯", None, vessels.cup),
    "bowl": thing("bowl 碗", None, vessels.bowl),
    "bottle": thing("bottle flask 瓶子 酒瓶 瓶", "2f6b45", vessels.bottle),
    "teapot": thing("teapot kettle 茶壶 水壶 壶", None, vessels.teapot),
    "candle": thing("candle 蜡烛", "efe3c6", vessels.candle),
    "robot": thing("robot android 机器人", "8fa3b5", machines.robot),
    "car": thing("car automobile taxi 汽车 小车 轿车 跑车 出租车 车", None, machines.car),
    "bus": thing("bus coach 公交车 巴士 公共汽车 大巴", "e0a21b", machines.bus),
    "train": thing("train locomotive steam_engine 火车 火车头 列车", "2d4f3c", machines.train),
    "boat": thing("boat ship sailboat yacht 船 帆船 小船 轮船", "8a4f2a", machines.boat),
    "plane": thing("airplane aeroplane plane jet 飞机", "e6e9ec", machines.plane),
    "rocket": thing("rocket spaceship spacecraft 火箭 飞船 宇宙飞船", "e8e8e4", machines.rocket),
    "tree": thing("tree 树 大树 树木", "3c8c40", plants.tree, "leaves"),
    "pine": thing(
        "pine fir pine_tree fir_tree christmas_tree 松树 圣诞树 杉树",
        "2f6f43",
        plants.pine,
        "leaves",
    ),
    "flower": thing(
        "flower rose tulip sunflower daisy 花 花朵 玫瑰 向日葵",
        "e8618c",
        plants.flower,
    ),
    "mushroom": thing("mushroom toadstool 蘑菇", "c7372f", plants.mushroom),
    "cactus": thing("cactus cacti 仙人掌", "4a9a55", plants.cactus),
    "apple": thing("apple 苹果", "cf2e2e", plants.apple),
    "house": thing(
        "house cottage home cabin hut 房子 房屋 小屋 屋 木屋",
        "e8dcc4",
        buildings.house,
    ),
    "castle": thing("castle fortress palace 城堡 宫殿", "b9b3a6", buildings.castle),
    "tower": thing("lighthouse tower 灯塔 塔", "c23b31", buildings.tower),
    "sword": thing("sword 剑 宝剑 长剑", "c9a227", objects.sword, "blade"),
    "hammer": thing("hammer mallet 锤子 铁锤 锤", "6f757c", objects.hammer),
    "ball": thing("ball sphere globe 球 圆球 球体", None, shapes.ball),
    "cube": thing("cube box dice crate 立方体 方块 盒子 箱子", None, shapes.cube),
    "pyramid": thing("pyramid 金字塔", "d9b46a", shapes.pyramid),
    "cone": thing("cone 圆锥 锥体", None, shapes.cone),
    "cylinder": thing("cylinder 圆柱 圆柱体", None, shapes.cylinder),
    "ring": thing("ring torus donut doughnut 圆环 戒指 甜甜圈", None, shapes.ring),
    "star": thing("star 星星 五角星", "f2c42c", shapes.star),
    "heart": thing("heart 爱心 心形 红心", "d8324a", shapes.heart),
    "snowman": thing("snowman 雪人", "f4f6f8", animals.snowman),
    "cat": thing("cat kitten kitty 猫 小猫 猫咪", "e0913f", animals.cat),
    "dog": thing("dog puppy 狗 小狗 犬", "b98a5a", animals.dog),
    "bear": thing("bear teddy teddy_bear 熊 小熊 泰迪熊", "96633a", animals.bear),
    "rabbit": thing("rabbit bunny hare 兔子 小兔子 兔", "d9cfc3", animals.rabbit),
    "fish": thing("fish goldfish 鱼 金鱼", "ef8a2a", animals.fish),
    "duck": thing("duck duckling 鸭子 小鸭子 鸭", "f2c42c", animals.duck),
    "hat": thing("hat top_hat 帽子 礼帽", "33353a", objects.hat),
    "crown": thing("crown tiara 皇冠 王冠", "d4a017", objects.crown),
    "book": thing("book 书 书本", None, objects.book),
    "cake": thing("cake 蛋糕", "f3e3cf", objects.cake),
    "ice cream": thing("ice_cream icecream 冰淇淋 雪糕", "f6ead2", objects.ice_cream),
    "diamond": thing("diamond gem jewel 钻石 宝石", "a8d8e8", shapes.diamond),
}
"""Everything that can be built, by name."""

__all__ = ["THINGS", "USUAL", "Dice", "Thing"]
