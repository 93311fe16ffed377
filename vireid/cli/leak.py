"""Evaluate retrieval by the attribute labels of the test identities alone, without any image, and print JSON.

Of SYSU-MM01 from the released attribute files (--attributes, --ids): each test identity is a query once for each
infrared camera, and a gallery entry once for each visible camera, in which it is labeled.

Of any dataset with attributes (--config-file): its test images are the queries and the gallery, under the protocols of
its config.

Scores are percentages, averaged over random orders of equal distances; `spread` is the standard deviation over these
orders (and over the trials of the protocol).
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from vireid.core.errors import UserError
from vireid.core.paths import path_argument

EXAMPLES = """
  %(prog)s --attributes PAENet_Attribute.zip --ids exp/test_id.txt --mode all --matcher hamming
  %(prog)s --config-file configs/sysu/mmd.yml DATA.ATTRIBUTES PAENet_Attribute.zip
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid leak`."""
    parser.add_argument(
        "--attributes", type=path_argument, metavar="PATH", help="folder or zip with cam1_att.mat .. cam6_att.mat"
    )
    parser.add_argument(
        "--ids", type=path_argument, metavar="FILE", help="test identities, comma separated (exp/test_id.txt)"
    )
    parser.add_argument("--mode", help="gallery of SYSU-MM01: all (default) or indoor")
    parser.add_argument("--matcher", default="hamming", help="hamming (default), exact or llr")
    parser.add_argument(
        "--tie-breaks", type=int, metavar="N", help="random orders of equal distances (default: 200; with a config 20)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of these orders (default: 0)")
    parser.add_argument("--json", type=path_argument, metavar="FILE", help="also write the result to FILE")
    parser.add_argument("--config-file", metavar="FILE", help="config with DATA.ATTRIBUTES, instead of --attributes")
    parser.add_argument(
        "overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that override the config file"
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid leak` and return its exit code."""
    released = {"--attributes": arguments.attributes, "--ids": arguments.ids, "--mode": arguments.mode}
    used = [name for name, value in released.items() if value is not None]
    if arguments.config_file and used:
        raise UserError(f"{' and '.join(used)} cannot be combined with --config-file; leave one of the two out")
    missing = [name for name in ("--attributes", "--ids") if released[name] is None]
    if not arguments.config_file and missing:
        raise UserError(f"{' and '.join(missing)} missing; give --attributes and --ids, or --config-file")
    if not arguments.config_file and arguments.overrides:
        raise UserError(f"{arguments.overrides[0]!r} is a setting, and settings need --config-file")
    scores = _of_config(arguments) if arguments.config_file else _of_released(arguments)
    print(json.dumps(scores, indent=2))
    if arguments.json is not None:
        from vireid.core.io import write_json

        write_json(arguments.json, scores)
    return 0


def _of_released(arguments: argparse.Namespace) -> dict[str, Any]:
    from vireid.data.attributes import read_sysu_attributes
    from vireid.evaluation.attribute_leak import attribute_only, read_test_identities, sysu_entries
    from vireid.evaluation.protocols import SysuProtocol

    protocol = SysuProtocol(mode=arguments.mode or "all", shots=1, trials=1)
    table, identities = read_sysu_attributes(arguments.attributes), read_test_identities(arguments.ids)
    report = attribute_only(
        sysu_entries(table, identities),
        protocol,
        matcher=arguments.matcher,
        others=sysu_entries(table, sorted(table.identities() - set(identities))),
        tie_breaks=_count(arguments, 200),
        seed=arguments.seed,
    )
    return _percent(report)


def _of_config(arguments: argparse.Namespace) -> dict[str, Any]:
    from vireid.config import Build, load_checked
    from vireid.data.listing import require_listing
    from vireid.evaluation.attribute_leak import attribute_only

    build = Build(load_checked(arguments.config_file, arguments.overrides))
    dataset = build.dataset()
    require_listing(dataset)
    samples, others = dataset.test(), dataset.train()
    return {
        name: _percent(
            attribute_only(
                samples,
                evaluator.protocol,
                matcher=arguments.matcher,
                others=others,
                tie_breaks=_count(arguments, 20),
                seed=arguments.seed,
            )
        )
        for name, evaluator in build.evaluators().items()
    }


def _count(arguments: argparse.Namespace, default: int) -> int:
    return default if arguments.tie_breaks is None else arguments.tie_breaks


def _percent(report: Any) -> dict[str, Any]:
    """Convert a report to percentages, with its conditions."""
    values, first = report.to_json(), next(iter(report.trials.values()))
    scores = {name: round(100 * value, 2) for name, value in values["mean"].items()}
    spread = {name: None if value is None else round(100 * value, 2) for name, value in values["spread"].items()}
    return {
        **scores,
        "spread": spread,
        "unit": "percent",
        "chance_rank1": round(100 * values["chance"]["rank1"], 2),
        "queries": first.queries,
        "skipped_queries": first.skipped,
        "orders": len(report.trials),
        "conditions": values["conditions"],
    }
