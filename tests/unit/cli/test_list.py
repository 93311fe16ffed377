"""`vireid list`: kinds, components with purpose and arguments, patterns, errors."""

from __future__ import annotations

import pytest

import vireid.config.check  # noqa: F401  fills the registries
from vireid.cli.list import CONFIGS, KINDS, MODELS, component_text, purpose, registry_of
from vireid.cli.main import main
from vireid.core import registries
from vireid.core.registry import Registry

FILES = (CONFIGS, MODELS)  # kinds without a registry


def test_the_kinds_are_the_registries():
    assert {registry_of(kind).kind for kind in KINDS if kind not in FILES} == {r.kind for r in registries.ALL.values()}


def test_without_a_kind_the_kinds_are_listed(capsys):
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_every_kind(kind, capsys):
    assert main(["list", kind, "--names"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert names == (sorted(names) if kind in FILES else registry_of(kind).names())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FILES])
def test_every_component_has_a_purpose(kind):
    registry = registry_of(kind)
    assert all(purpose(registry.get(name).target) for name in registry if _is_ours(registry, name))


def _is_ours(registry: Registry, name: str) -> bool:
    return registry.get(name).target.__module__.startswith("vireid.")


def test_arguments_with_type_default_and_note():
    class Margin:
        """Hinge of a distance.  Second sentence."""

        def __init__(self, num_ids: int, weight: float, margin: float = 0.3, *, pool=None) -> None: ...

    registry = Registry("loss")
    registry.register(pool=registries.POOLS)(Margin)
    assert component_text(registry, "Margin").splitlines() == [
        "Margin",
        "  Hinge of a distance.",
        "    num_ids: int         known from the dataset or the model; not a setting",
        "    weight: float        required",
        "    margin: float = 0.3",
        "    pool = None          a component of `vireid list pools`",
    ]


def test_backbones_are_listed_with_their_families(capsys):
    assert main(["list", "backbones", "TwoStream*"]) == 0
    words = [line.partition(":")[0].strip() for line in capsys.readouterr().out.splitlines()]
    chosen = [word for word in words if word.startswith(("Family ", "TwoStream"))]
    cnns, transformers = ["Family stages", "Family blocks"], ["TwoStreamViT", "Family column"]
    assert chosen == ["TwoStreamBackbone", *cnns, "TwoStreamSwin", "Family windows", *transformers]


def test_a_pattern_ignores_case_and_selects(capsys):
    assert main(["list", "losses", "*mmd*", "--names"]) == 0
    names = capsys.readouterr().out.split()
    assert names
    assert all("mmd" in name.lower() for name in names)


def test_errors_name_the_nearest(capsys):
    assert main(["list", "loses"]) == 2
    assert "unknown kind 'loses'; did you mean 'losses'?" in capsys.readouterr().err
    assert main(["list", "pools", "GemPol"]) == 2
    assert "no pool matches 'GemPol'" in capsys.readouterr().err
