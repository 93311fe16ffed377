"""Costs are those of the row's own network at its own size."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.core.errors import ConfigError
from vireid.suites.cost_table import COLUMNS, costs_of
from vireid.suites.plan import make_plan
from vireid.suites.suite import COSTS, read_suite
from vireid.suites.tables import latex, markdown
from vireid.zoo.models import create_model

TINY = Path(__file__).parents[2] / "end_to_end" / "tiny.yml"


def suite_of(folder, costs):
    file = folder / "s.yml"
    file.write_text(
        f"CONFIG: {TINY}\nCOSTS: {costs}\nROWS:\n  one: {{}}\n  stripes: {{CONFIG: configs/sysu/hct.yml,"
        " MODEL.BACKBONE.ARCH: resnet10t, MODEL.BACKBONE.PRETRAINED: false, SIZE: [96, 32]}\n"
    )
    return read_suite(file)


def test_every_cost_that_a_suite_may_name_has_a_column():
    assert tuple(COLUMNS) == COSTS


def test_counts_are_those_of_the_network(tmp_path):
    plan = make_plan(suite_of(tmp_path, "[parameters, width, gflops]"), tmp_path)
    costs = costs_of(plan, plan.suite.costs)
    model = create_model("hct", num_ids=395, arch="resnet10t", pretrained=False)
    found = costs.values["stripes", ""]
    assert found["parameters"] == pytest.approx(sum(p.numel() for p in model.parameters()) / 1e6)
    assert found["width"] == 6 * 256
    assert costs.values["one", ""]["gflops"] < found["gflops"]  # 64 x 32 and 96 x 32 pixels
    assert list(costs.to_frame().columns) == ["parameters (M)", "embedding", "GFLOPs per image"]
    assert "| stripes |" in markdown([], costs=costs)
    assert r"\caption{Costs.}" in latex([], costs)


def test_measured_costs_and_what_a_cpu_cannot_tell(tmp_path):
    plan = make_plan(suite_of(tmp_path, "[latency, images_per_second, memory]"), tmp_path)
    costs = costs_of(plan, plan.suite.costs)
    values = costs.values["one", ""]
    assert values["latency"] * values["images_per_second"] == pytest.approx(32_000, rel=1e-6)
    assert values["memory"] is None
    assert costs.to_frame().iloc[0, -1] == "-"


def test_a_cost_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match="COSTS has 'flops', which is not a cost; did you mean 'gflops'"):
        suite_of(tmp_path, "[flops]")
