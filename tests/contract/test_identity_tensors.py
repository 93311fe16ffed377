"""Parts declare exactly the state tensors whose shape depends on the number of training identities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import vireid.losses
import vireid.models  # noqa: F401  importing these fills the registries
from vireid.config.build import Build
from vireid.config.check import load_checked
from vireid.core import registries
from vireid.core.identity_tensors import identity_tensors
from vireid.core.registry import Entry
from vireid.testing import build_example
from vireid.zoo.models import config_path, list_models

KINDS = ("BACKBONES", "INSERTS", "POOLS", "ADAPTERS", "STAGES", "ATTRIBUTE_SOURCES", "HEADS", "LOSSES")
FEW, MANY = 4, 7  # TINY has 4 identities


def depending(few: nn.Module, many: nn.Module) -> set[str]:
    """Names of the tensors of another shape in the two modules; both must have the same names."""
    left, right = few.state_dict(), many.state_dict()
    assert left.keys() == right.keys()
    return {name for name in left if left[name].shape != right[name].shape}


def entries() -> list:
    return [
        pytest.param(registries.ALL[kind].get(name), id=f"{kind}/{name}")
        for kind in KINDS
        for name in registries.ALL[kind]
    ]


@pytest.mark.parametrize("entry", entries())
def test_a_part_declares_its_identity_tensors(entry: Entry):
    few, many = (build_example(entry.target, num_ids=ids) for ids in (FEW, MANY))
    few, many = (part.build(16) if hasattr(part, "build") else part for part in (few, many))
    if not isinstance(few, nn.Module):
        return
    assert identity_tensors(few) == depending(few, many)


def test_the_contract_covers_parts_with_identity_tensors():
    declared = {e.values[0].name for e in entries() if getattr(e.values[0].target, "identity_tensors", ())}
    assert {"IdentityHead", "StripeHead", "CrossModalityGraph", "IdentityMarginCenters"} <= declared


@pytest.mark.parametrize("name", list_models())
def test_the_network_of_a_composition_declares_its_identity_tensors(name: str):
    build = Build(load_checked(config_path(name), {"MODEL.BACKBONE.PRETRAINED": False}))
    with torch.device("meta"):
        networks = [build.with_info(replace(build.info, num_ids=ids)).model(weights=False) for ids in (FEW, MANY)]
        assert identity_tensors(networks[0]) == depending(*networks)
        objectives = [
            build.with_info(replace(build.info, num_ids=ids)).objective(net) for ids, net in zip((FEW, MANY), networks)
        ]
        assert identity_tensors(objectives[0]) == depending(*objectives)
