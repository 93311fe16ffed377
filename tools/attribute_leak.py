#!/usr/bin/env python3
"""What the labelled attributes of the test people give alone, without any image, as JSON.

Of SYSU-MM01 from the released attribute files: each test identity asks once per infrared camera and answers once per
visible camera in which it is labelled.
    python tools/attribute_leak.py --attributes PAENet_Attribute.zip --ids exp/test_id.txt --mode all --matcher hamming
Of any data set with attributes, under the protocols of its config, with its images as queries and gallery:
    python tools/attribute_leak.py --config-file configs/sysu/mmd.yml DATA.ATTRIBUTES PAENet_Attribute.zip

Scores are percent, means over random orders of equal distances; `spread` is the standard deviation over these (and over
the protocol's trials).
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from vireid.core.errors import UserError, guarded
from vireid.core.paths import path_argument


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="attribute_leak.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--attributes", type=path_argument, metavar="PLACE", help="folder or zip with cam1_att.mat .. cam6_att.mat"
    )
    made.add_argument(
        "--ids", type=path_argument, metavar="FILE", help="test identities, comma separated (exp/test_id.txt)"
    )
    made.add_argument("--mode", help="gallery of SYSU-MM01: all (default) or indoor")
    made.add_argument("--matcher", default="hamming", help="hamming (default), exact or llr")
    made.add_argument("--tie-breaks", type=int, metavar="N", help="random orders of ties (200; with a config 20)")
    made.add_argument("--seed", type=int, default=0, help="of the random orders (default: 0)")
    made.add_argument("--json", type=path_argument, metavar="FILE", help="also write it there")
    made.add_argument("--config-file", metavar="FILE", help="a config with DATA.ATTRIBUTES, instead of --attributes")
    made.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that win over FILE")
    return made


@guarded
def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    released = {"--attributes": arguments.attributes, "--ids": arguments.ids, "--mode": arguments.mode}
    given = [name for name, value in released.items() if value is not None]
    if arguments.config_file and given:
        raise UserError(f"{' and '.join(given)} cannot stand with --config-file, which says it all")
    missing = [name for name in ("--attributes", "--ids") if released[name] is None]
    if not arguments.config_file and missing:
        raise UserError(f"{' and '.join(missing)} missing; give --attributes and --ids, or --config-file")
    if not arguments.config_file and arguments.overrides:
        raise UserError(f"{arguments.overrides[0]!r} is a setting, and settings need --config-file")
    found = _of_config(arguments) if arguments.config_file else _of_released(arguments)
    print(json.dumps(found, indent=2))
    if arguments.json is not None:
        from vireid.core.io import write_json

        write_json(arguments.json, found)
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
    from vireid.config import assemble
    from vireid.data.survey import require_listing
    from vireid.evaluation.attribute_leak import attribute_only

    config = assemble.load(arguments.config_file, arguments.overrides)
    dataset = assemble.dataset(config)
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
        for name, evaluator in assemble.evaluators(config).items()
    }


def _count(arguments: argparse.Namespace, default: int) -> int:
    return default if arguments.tie_breaks is None else arguments.tie_breaks


def _percent(report: Any) -> dict[str, Any]:
    """Scores in percent, and the conditions they hold under."""
    found, first = report.to_json(), next(iter(report.trials.values()))
    scores = {name: round(100 * value, 2) for name, value in found["mean"].items()}
    spread = {name: None if value is None else round(100 * value, 2) for name, value in found["spread"].items()}
    return {
        **scores,
        "spread": spread,
        "unit": "percent",
        "chance_rank1": round(100 * found["chance"]["rank1"], 2),
        "queries": first.queries,
        "skipped_queries": first.skipped,
        "orders": len(report.trials),
        "conditions": found["conditions"],
    }


if __name__ == "__main__":
    raise SystemExit(main())
