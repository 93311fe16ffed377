"""A network from its MODEL settings alone, for models that left their run: without dataset, objective and solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vireid.config.check import static_check
from vireid.config.checked import CheckedConfig
from vireid.config.load import make_config
from vireid.config.show import resolved_tree
from vireid.config.wiring import ModelBuilder
from vireid.core.errors import ConfigError
from vireid.core.rng import seeded
from vireid.core.types import DatasetInfo
from vireid.models.cross_modality_net import CrossModalityNet


def model_tree(checked: CheckedConfig) -> dict[str, Any]:
    """The settings that `build_network` needs: MODEL with all defaults and without stored weights, and IMPORTS."""
    tree = resolved_tree(checked)
    declared = getattr(checked.components.required("MODEL.BACKBONE").entry.target, "without_weights", {})
    tree["MODEL"]["BACKBONE"].update({name.upper(): value for name, value in declared.items()})
    return {"IMPORTS": tree["IMPORTS"], "MODEL": tree["MODEL"]}


def build_network(tree: Mapping[str, Any], info: DatasetInfo) -> CrossModalityNet:
    """Build a network without stored weights; the global random state is unchanged.

    Args:
        tree: The value of `model_tree`, with SIZE if the network was made for images of another size than the default.
        info: Numbers of the dataset of the training.

    Raises:
        ConfigError: With all problems of these settings.
    """
    config = make_config(tree)
    static = static_check(config, info)
    problems = [problem for problem in static.problems if problem.key.partition(".")[0] in tree]
    if problems:
        raise ConfigError(problems)
    builder = ModelBuilder(config, static.components, info, dry=True)
    with seeded(0):
        join = builder.build()
    if join is None:
        raise ConfigError(builder.problems)
    return join()
