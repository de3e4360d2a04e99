"""Looking classes up by name."""

import json

import pytest

from vitreous.data import DIGIT_NAMES, ClassNames

NAMES = ClassNames(
    ("tench, Tinca tinca", "bullfrog, Rana catesbeiana", "tiger cat", "tiger, Panthera tigris",
     "Persian cat", "crane", "crane", "Egyptian mau")
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tench, Tinca tinca", 0),
        ("TENCH", 0),
        ("  tinca   tinca ", 0),
        ("tiger cat", 2),
        ("tiger", 3),
        ("persian", 4),
        ("mau", 7),
        ("frog", None),
    ],
)
def test_a_name_a_synonym_and_a_whole_word_find_their_class(text, expected):
    if expected is None:
        with pytest.raises(KeyError, match=r"No class is named 'frog'\. Nearest: bullfrog"):
            NAMES.find(text)
    else:
        assert NAMES.find(text) == expected


def test_a_word_finds_no_class_that_only_contains_its_letters():
    with pytest.raises(KeyError) as error:
        NAMES.find("cat")
    assert "'cat' must name one class; got 2: 2 (tiger cat), 4 (Persian cat)." in str(error.value)
    assert "bullfrog" not in str(error.value)


def test_two_classes_of_one_name_are_told_apart_by_index():
    with pytest.raises(
        KeyError, match=r"got 2: 5 \(crane\), 6 \(crane\). Pass a fuller name or an"
    ):
        NAMES.find("crane")


def test_many_matches_are_counted_not_listed():
    names = ClassNames(tuple(f"cat {i}" for i in range(30)))
    with pytest.raises(KeyError, match=r"got 30: 0 \(cat 0\).* and 22 more"):
        names.find("cat")


@pytest.mark.parametrize("text", ["", "   ", "(", ".*"])
def test_text_without_words_finds_nothing(text):
    with pytest.raises(KeyError, match="No class is named"):
        NAMES.find(text)


def test_a_label_shows_the_emoji_where_there_is_one():
    assert ClassNames(("cat",), ("🐱",)).label(0) == "🐱 cat"
    assert ClassNames(("cat",)).label(0) == "cat"


def test_digits_have_keycap_emoji():
    assert DIGIT_NAMES.label(3) == "3️⃣ three"
    assert DIGIT_NAMES.find("Seven") == 7


def test_names_behave_as_a_sequence():
    assert (len(NAMES), NAMES[4], list(NAMES)[-1]) == (8, "Persian cat", "Egyptian mau")


GROUPED = ClassNames(
    ("pug", "tabby", "crate, box"),
    ("🐶", "🐱", "📦"),
    ("animal/dog", "animal/cat", "box"),
    ("#a95703", "#b04a2c", "#557766"),
    ("n02110958", "n02123045", "n03127925"),
)


@pytest.mark.parametrize(("group", "labels"), [("animal", (0, 1)), ("DOG", (0,)), (" box ", (2,))])
def test_a_group_gives_the_indices_of_its_classes(group, labels):
    assert GROUPED.group(group) == labels
    assert GROUPED.group_names == ("animal", "dog", "cat", "box")


def test_an_unknown_group_names_its_nearest():
    with pytest.raises(KeyError, match=r"No group is named 'dogs'\. Nearest: dog.*lists them all"):
        GROUPED.group("dogs")
    with pytest.raises(KeyError, match=r"No group is named 'dog'\. These classes have none\."):
        NAMES.group("dog")


def test_a_synset_id_finds_its_class():
    assert GROUPED.find("n02123045") == 1


def test_the_name_that_is_shown_comes_before_other_synonyms():
    names = ClassNames(("chime, bell, gong", "gong, tam-tam"))
    assert names.find("gong") == 1


def test_names_saved_before_there_were_colors_are_read():
    old = ClassNames.from_json({"names": ["cat"], "emoji": None})
    assert old == ClassNames(("cat",))


@pytest.mark.parametrize("color", ["red", "#fff", "#12345g", "#123456;x", "#ABCDEF\n"])
def test_colors_of_another_form_are_refused(color):
    with pytest.raises(ValueError, match="`colors` must be written #rrggbb; got"):
        ClassNames(("cat",), colors=(color,))


@pytest.mark.parametrize("field", ["groups", "colors", "synset_ids"])
def test_columns_of_another_length_are_refused(field):
    with pytest.raises(ValueError, match=f"`{field}` must have one entry per class; got 0 for 1"):
        ClassNames(("cat",), **{field: ()})


@pytest.mark.parametrize("names", [NAMES, DIGIT_NAMES, GROUPED])
def test_json_brings_back_equal_names(names):
    assert ClassNames.from_json(json.loads(json.dumps(names.to_json()))) == names


def test_emoji_of_another_count_are_refused():
    with pytest.raises(ValueError, match="`emoji` must have one entry per class; got 1 for 2"):
        ClassNames(("cat", "dog"), ("🐱",))
