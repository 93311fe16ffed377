"""A one-letter typo of any key of a shipped config is an error that names that key."""

import string
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.config.check import problems_of, static_check
from vireid.config.load import make_config, read_unchecked
from vireid.core import registries

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = {"MODEL.BACKBONE.ARCH": "test_resnet", "MODEL.BACKBONE.PRETRAINED": False}
TREES = {
    name: read_unchecked(CONFIGS / f"{name}.yml", TINY).plain()
    for name in ("sysu/mmd", "sysu/baseline", "demo/sysu_mmd")
}


def keys_of(tree, above=()):
    for key, value in tree.items():
        own_name = above in (("OBJECTIVE",), ("AUGMENTATION",), ("EVALUATION",), ("MODEL", "HEADS"))
        if not own_name:  # an entry that carries its NAME may be called anything
            yield (*above, key)
        if isinstance(value, dict):
            yield from keys_of(value, (*above, key))


KEYS = [(name, keys) for name, tree in TREES.items() for keys in keys_of(tree)]


@st.composite
def typos(draw, word):
    """The word with one letter left out, doubled, replaced, put in or two swapped."""
    place = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from(string.ascii_uppercase + "_"))
    left, here, right = word[:place], word[place], word[place + 1 :]
    swapped = left + right[:1] + here + right[1:]
    return draw(
        st.sampled_from(
            [left + right, left + here + word[place:], left + letter + right, left + letter + word[place:], swapped]
        )
    )


COMPONENTS = {name for registry in registries.ALL.values() for name in registry}


def texts(config, word):
    """All problems; without building anything where the static ones name the word already."""
    static = [str(problem) for problem in static_check(config).problems]
    return static if any(word in text for text in static) else [str(problem) for problem in problems_of(config)]


@settings(max_examples=60)
@given(st.data())
def test_a_typo_of_a_key_is_named(data):
    name, keys = data.draw(st.sampled_from(KEYS))
    wrong = data.draw(typos(keys[-1]).filter(bool))
    tree = make_config(TREES[name]).plain()
    node = tree
    for key in keys[:-1]:
        node = node[key]
    if wrong in node:
        return
    renamed = [(wrong if key == keys[-1] else key, value) for key, value in node.items()]
    node.clear()
    node.update(renamed)
    problems = texts(make_config(tree), wrong)
    assert any(wrong in problem for problem in problems), (keys, wrong, problems)


@settings(max_examples=30)
@given(st.data())
def test_a_typo_of_a_component_is_named(data):
    name, keys = data.draw(st.sampled_from([each for each in KEYS if each[1][-1] == "NAME"]))
    tree = make_config(TREES[name]).plain()
    node = tree
    for key in keys[:-1]:
        node = node[key]
    if node["NAME"] == "none":
        return
    wrong = data.draw(typos(node["NAME"]).filter(lambda word: word not in COMPONENTS))  # Adam is not a typo
    node["NAME"] = wrong
    assert any(repr(wrong) in problem for problem in texts(make_config(tree), wrong))
