"""ImageNet's names, with an emoji of the right sense, groups and colors."""

import re
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest

from vitreous.data import IMAGENET, IMAGENET_SIZES, ClassNames, imagenet_names, recognized_names

# The sense that a class has where its name has another one, and for some what would be wrong.
SENSES = {
    (7, "cock"): "🐓", (8, "hen"): "🐔", (17, "jay"): "🐦", (21, "kite"): "🦅",  # not 🪁
    (54, "hognose snake"): "🐍", (63, "Indian cobra"): "🐍",  # no flag
    (67, "diamondback"): "🐍", (69, "trilobite"): "🪲",  # not 🦖
    (78, "tick"): "🕷️",  # not ✅
    (89, "sulphur-crested cockatoo"): "🦜", (97, "drake"): "🦆", (101, "tusker"): "🐘",
    (134, "crane"): "🐦", (517, "crane"): "🏗️", (117, "chambered nautilus"): "🐚",
    (157, "papillon"): "🐶",  # not 🦋
    (192, "cairn"): "🐕",  # not 🪨
    (204, "Lhasa"): "🐕", (231, "collie"): "🐕", (242, "boxer"): "🐕",  # not 🥊
    (254, "pug"): "🐶", (256, "Newfoundland"): "🐕‍🦺", (263, "Pembroke"): "🐕",
    (264, "Cardigan"): "🐕", (474, "cardigan"): "🧥", (290, "jaguar"): "🐆",  # not 🚗
    (300, "tiger beetle"): "🪲", (312, "cricket"): "🦗",  # not 🏏
    (313, "walking stick"): "🦗",  # not 🦯
    (321, "admiral"): "🦋", (322, "ringlet"): "🦋", (323, "monarch"): "🦋",  # not 👑
    (329, "sea cucumber"): "🪱",  # not 🥒
    (332, "Angora"): "🐰",  # not 🐐
    (339, "sorrel"): "🐎",  # not 🌿
    (352, "impala"): "🦌",  # not 🚗
    (357, "mink"): "🦦", (383, "Madagascar cat"): "🐒", (387, "lesser panda"): "🦝",  # not 🐼
    (392, "rock beauty"): "🐠", (393, "anemone fish"): "🐠", (395, "gar"): "🐟",
    (397, "puffer"): "🐡", (403, "aircraft carrier"): "🚢", (408, "amphibian"): "🚙",  # not 🐸
    (439, "bearskin"): "💂",  # not 🐻
    (452, "bonnet"): "👒", (456, "bow"): "🏹", (457, "bow tie"): "🎀",
    (458, "brass"): "🪦",  # not 🎺
    (464, "buckle"): "🧷", (487, "cellular telephone"): "📱", (488, "chain"): "⛓️",
    (490, "chain mail"): "🛡️",  # not ✉️
    (491, "chain saw"): "🪚",  # not ⛓️
    (492, "chest"): "📦", (493, "chiffonier"): "🗄️", (494, "chime"): "🎐",
    (495, "china cabinet"): "🗄️",
    (502, "clog"): "🥿", (513, "cornet"): "🎺",  # not 🍦
    (535, "disk brake"): "🛞",  # not 💽
    (542, "drumstick"): "🥁",  # not 🍗
    (545, "electric fan"): "💨",  # not 🪭
    (552, "feather boa"): "🪶",  # not 🐍
    (553, "file"): "🗄️", (556, "fire screen"): "🔥", (566, "French horn"): "📯",
    (576, "gondola"): "🛶",  # not 🚡
    (586, "half track"): "🚛", (588, "hamper"): "🧺", (600, "hook"): "🪝",
    (602, "horizontal bar"): "🤸", (603, "horse cart"): "🐴", (606, "iron"): "🧺",  # not 🔥
    (608, "jean"): "👖", (610, "jersey"): "👕",  # not 🐄
    (611, "jigsaw puzzle"): "🧩", (616, "knot"): "🪢", (622, "lens cap"): "📷",  # not 🧢
    (625, "lifeboat"): "🚤", (626, "lighter"): "🔥", (630, "Loafer"): "👞", (633, "loupe"): "🔍",
    (638, "maillot"): "🩱", (639, "maillot"): "🩱", (643, "mask"): "🎭", (644, "matchstick"): "🔥",
    (655, "miniskirt"): "👗", (664, "monitor"): "🖥️",  # not 🦎
    (666, "mortar"): "🥣",  # not 💣
    (667, "mortarboard"): "🎓", (673, "mouse"): "🖱️",  # not 🐁
    (674, "mousetrap"): "🪤", (676, "muzzle"): "🐕",  # not 🔫
    (677, "nail"): "🔩",  # not 💅
    (680, "nipple"): "🍼", (681, "notebook"): "💻",  # not 📓
    (687, "organ"): "🎹",  # not 🫀
    (688, "oscilloscope"): "📈", (692, "packet"): "📦", (693, "paddle"): "🛶",  # not 🏓
    (705, "passenger car"): "🚃",  # not 🚗
    (714, "pick"): "🎸",  # not ⛏️
    (718, "pier"): "🌉", (719, "piggy bank"): "🐷", (721, "pillow"): "🛏️", (724, "pirate"): "🏴‍☠️",
    (725, "pitcher"): "🏺",  # not ⚾
    (726, "plane"): "🛠️",  # not ✈️
    (733, "pole"): "🦯", (736, "pool table"): "🎱",  # not 🏊
    (738, "pot"): "🪴", (744, "projectile"): "🚀", (746, "puck"): "🏒", (747, "punching bag"): "🥊",
    (749, "quill"): "🪶", (751, "racer"): "🏎️", (752, "racket"): "🏸",  # not 🎾
    (753, "radiator"): "♨️", (758, "reel"): "🎣",  # not 🎞️
    (761, "remote control"): "🎛️",  # not 🔦
    (767, "rubber eraser"): "✏️", (769, "rule"): "📏", (771, "safe"): "🔐", (777, "scabbard"): "🗡️",
    (778, "scale"): "⚖️",  # not 🎼
    (780, "schooner"): "⛵",  # not 🍺
    (782, "screen"): "🖥️", (783, "screw"): "🔩", (793, "shower cap"): "🚿",  # not 🧢
    (795, "ski"): "🎿", (800, "slot"): "🎰", (807, "solar dish"): "📡",  # not ☀️
    (810, "space bar"): "⌨️",  # not 🍸
    (811, "space heater"): "♨️",  # not 🚀
    (816, "spindle"): "🧶", (818, "spotlight"): "🔦", (822, "steel drum"): "🥁",  # not 🛢️
    (824, "stole"): "🧣", (827, "stove"): "🔥", (834, "suit"): "👔",  # not ♠️
    (836, "sunglass"): "🕶️", (842, "swimming trunks"): "🩳",  # not 🐘
    (843, "swing"): "🛝",  # not 🎷
    (844, "switch"): "🔌", (847, "tank"): "🪖", (850, "teddy"): "🧸",
    (856, "thresher"): "🚜",  # not 🦈
    (862, "torch"): "🔥",  # not 🔦
    (863, "totem pole"): "🗿",  # not 🪱
    (867, "trailer truck"): "🚛", (876, "tub"): "🛁", (881, "upright"): "🎹", (884, "vault"): "🏛️",
    (900, "water tower"): "🗼",  # not 🌊
    (905, "window shade"): "🪟",  # not 🕶️
    (908, "wing"): "✈️",  # not 🪽
    (912, "worm fence"): "🚧", (913, "wreck"): "🚢", (914, "yawl"): "⛵", (916, "web site"): "🌐",
    (923, "plate"): "🍽️", (927, "trifle"): "🍰", (950, "orange"): "🍊", (955, "jackfruit"): "🍈",
    (956, "custard apple"): "🍈",  # not 🍮
    (961, "dough"): "🫓",  # not 💵
    (972, "cliff"): "⛰️", (980, "volcano"): "🌋", (982, "groom"): "🤵",
    (986, "yellow lady's slipper"): "🌼",  # not 🥿
    (989, "hip"): "🌹",  # not 🦴
    (990, "buckeye"): "🌰", (991, "coral fungus"): "🍄",  # not 🪸
    (996, "hen-of-the-woods"): "🍄",  # not 🐔
    (998, "ear"): "🌽",  # not 👂
}  # fmt: skip

GROUPS = {
    "dog": {*range(151, 269)},
    "cat": {*range(281, 286)},
    "wild cat": {*range(286, 294)},
    "wild dog": {*range(269, 276)},
    "fox": {*range(277, 281)},
    "bear": {*range(294, 298), 388},
    "bird": {*range(7, 25), *range(80, 101), *range(127, 147)},
    "fish": {*range(7), *range(389, 398)},
    "snake": {*range(52, 69)},
    "amphibian": {*range(25, 33)},
    "reptile": {*range(33, 69)},
    "insect": {*range(300, 327)},
    "butterfly": {*range(321, 327)},
    "primate": {*range(365, 385)},
    "animal": {*range(398)},
    "person": {981, 982, 983},
    "fruit": {*range(948, 958)},
    "fungus": {947, *range(991, 998)},
}


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    encoded = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in encoded)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def first(label: int) -> str:
    return IMAGENET[label].split(",")[0]


def test_every_class_has_a_name_an_emoji_a_group_a_color_and_an_id():
    columns = (IMAGENET.emoji, IMAGENET.groups, IMAGENET.colors, IMAGENET.synset_ids)
    assert [len(column or ()) for column in columns] == [1000] * 4
    assert all(name.strip() == name != "" for name in IMAGENET)
    assert all(re.fullmatch(r"n\d{8}", i) for i in IMAGENET.synset_ids)
    assert list(IMAGENET.synset_ids) == sorted({*IMAGENET.synset_ids})


@pytest.mark.parametrize("size", IMAGENET_SIZES)
def test_names_and_ids_are_those_of_timm(size):
    from timm.data import ImageNetInfo, infer_imagenet_subset

    names = imagenet_names(size)
    oracle = ImageNetInfo(infer_imagenet_subset({"num_classes": size}))
    assert list(names) == oracle.label_descriptions()
    assert list(names.synset_ids) == oracle.label_names()
    assert len(names) == size


def test_every_emoji_is_one_character_that_unicode_15_has(browser_page):
    """The browser knows the emoji that are recommended for interchange (RGI)."""
    others = browser_page.evaluate(
        r"emoji => emoji.filter(one => !/^\p{RGI_Emoji}$/v.test(one))", list(IMAGENET.emoji)
    )
    assert others == []


def test_no_emoji_is_a_flag_of_a_country_or_has_a_skin_tone_or_is_newer_than_unicode_15():
    newer = set("🫆🫜🫟🪉🪏🪾🫩")  # Unicode 16
    for emoji in set(IMAGENET.emoji):
        assert not re.search("[\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]", emoji)
        assert not newer & set(emoji)
        assert "\ufffd" not in emoji and not emoji.isascii()
        assert unicodedata.category(emoji[0]) in {"So", "Sm", "Cn"}  # Cn: newer than this Python


def test_an_emoji_shows_the_sense_that_the_class_has():
    assert {(i, first(i)): IMAGENET.emoji[i] for i, _ in SENSES} == SENSES


def test_dogs_are_dogs_and_nothing_else_but_the_dingo_and_the_muzzle():
    dogs = {"🐕", "🐶", "🐩", "🦮", "🐕‍🦺"}
    shown = {i for i, emoji in enumerate(IMAGENET.emoji) if emoji in dogs}
    assert shown == {*range(151, 269), IMAGENET.find("dingo"), IMAGENET.find("muzzle")}
    assert all(IMAGENET.emoji[i] == "🐩" for i in IMAGENET.group("dog") if "poodle" in first(i))
    assert all(IMAGENET.emoji[i] == "🦮" for i in IMAGENET.group("dog") if "retriever" in first(i))


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_holds_all_that_belong_to_it(name):
    assert set(IMAGENET.group(name)) == GROUPS[name]


def test_wide_groups_part_the_classes():
    widest = {path.split("/")[0] for path in IMAGENET.groups}
    assert sorted(i for name in widest for i in IMAGENET.group(name)) == [*range(1000)]


def test_a_group_has_one_place_in_the_hierarchy():
    above = {
        (part, tuple(path.split("/")[:depth]))
        for path in IMAGENET.groups
        for depth, part in enumerate(path.split("/"))
    }
    assert max(Counter(part for part, _ in above).values()) == 1


@pytest.mark.parametrize("page", ["#ffffff", "#fcfcfa", "#151d21", "#0f1518"])
def test_colors_can_be_seen_on_light_and_dark_pages(page):
    assert min(contrast(color, page) for color in IMAGENET.colors) >= 3


def test_dogs_look_alike_and_unlike_fruit_and_vehicles():
    def mean(name: str) -> list[float]:
        members = [IMAGENET.colors[i] for i in IMAGENET.group(name)]
        return [sum(int(c[k : k + 2], 16) for c in members) / len(members) for k in (1, 3, 5)]

    def distance(color: list[float], other: list[float]) -> float:
        return sum((a - b) ** 2 for a, b in zip(color, other, strict=True)) ** 0.5

    names = ["dog", "fruit", "vehicle", "bird", "reptile", "vegetable"]
    means = {name: mean(name) for name in names}
    for name in names:
        for label in IMAGENET.group(name):
            color = [int(IMAGENET.colors[label][k : k + 2], 16) for k in (1, 3, 5)]
            assert min(means, key=lambda other: distance(color, means[other])) == name


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("tench", 0),
        ("Tinca tinca", 0),
        ("GOLDEN RETRIEVER", 207),
        ("n02099601", 207),
        ("tabby", 281),
        ("lynx", 287),
        ("tiger", 292),
        ("crawdad", 124),
        ("gong", 577),  # also said of chimes
        ("maillot", 638),
        ("tank suit", 639),
        ("cardigan", 474),
        ("cardigan welsh corgi", 264),
        ("atm", 480),
        ("R.V.", 757),
        ("ear", 998),
    ],
)
def test_a_class_is_found_by_any_of_its_names(text, label):
    assert IMAGENET.find(text) == label


def test_a_cat_is_no_bullfrog_catamaran_or_caterpillar_but_five_breeds_a_lemur_and_a_red_panda():
    with pytest.raises(KeyError) as error:
        IMAGENET.find("cat")
    found = [int(i) for i in re.findall(r"(\d+) \(", str(error.value))]
    assert found == [281, 282, 283, 284, 285, 383, 387]
    assert "or `group('cat')` for all of that group." in str(error.value)


def test_two_cranes_are_told_apart_by_their_emoji():
    with pytest.raises(KeyError, match=r"got 2: 134 \(🐦 crane\), 517 \(🏗️ crane\)\. Pass"):
        IMAGENET.find("crane")


def test_the_shown_name_finds_its_class_unless_two_share_it():
    shown = Counter(first(i).casefold() for i in range(1000))
    shared = {name for name, count in shown.items() if count > 1}
    assert shared == {"crane", "cardigan", "maillot"}
    alone = [i for i in range(1000) if first(i).casefold() not in shared]
    assert [IMAGENET.find(first(i)) for i in alone] == alone


def test_the_21k_lists_find_by_name_and_id():
    names = imagenet_names(21843)
    assert names.find("n02123045") == names.find("tabby, tabby cat")
    with pytest.raises(KeyError, match="These classes have none"):
        names.group("dog")


def test_a_size_that_no_list_has_is_refused():
    with pytest.raises(ValueError, match=r"`n_classes` must be one of 1000, .*; got 999\. Pass"):
        imagenet_names(999)


def test_lists_of_timm_name_the_extra_where_it_is_not_installed():
    program = """
import sys
sys.modules["timm"] = None
from vitreous.data import imagenet_names
print(imagenet_names(1000).label(207))
imagenet_names(21843)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.stdout.decode().strip() == "🦮 golden retriever"
    assert done.stderr.decode().strip().endswith(
        "`imagenet_names(21843)` needs timm, which is not installed. "
        "Run `pip install 'vitreous[timm]'`."
    )  # fmt: skip


def test_names_of_torchvision_are_recognized_and_kept():
    from torchvision.models import ViT_B_16_Weights

    given = ViT_B_16_Weights.IMAGENET1K_V1.meta["categories"]
    names = recognized_names(given)
    assert list(names) == given
    assert names.emoji == IMAGENET.emoji and names.groups == IMAGENET.groups
    assert (names.find("crane"), names.find("crane bird")) == (517, 134)


@pytest.mark.parametrize("names", [IMAGENET.names[::-1], [f"thing {i}" for i in range(1000)], "ab"])
def test_other_names_are_taken_as_they_come(names):
    assert recognized_names(names) == ClassNames(tuple(names))


def test_names_with_all_their_columns_survive_json():
    assert ClassNames.from_json(IMAGENET.to_json()) == IMAGENET
