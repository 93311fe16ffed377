#!/usr/bin/env python3
"""Train a config and evaluate it by its protocols; or only evaluate a run that is there."""

from __future__ import annotations

import argparse

from vireid.core.errors import guarded
from vireid.core.options import refuse_unused


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: tools/train_net.py --config-file configs/sysu/mmd.yml SOLVER.LR 0.05 OUTPUT_DIR runs/small_lr",
    )
    parser.add_argument("--config-file", required=True, metavar="FILE", help="a YAML file, for example of configs/")
    parser.add_argument("--eval-only", action="store_true", help="evaluate the run in OUTPUT_DIR (or WEIGHTS)")
    parser.add_argument("--resume", action="store_true", help="continue the run in OUTPUT_DIR where there is one")
    parser.add_argument("--num-gpus", type=int, default=1, metavar="N", help="processes on this machine (default 1)")
    parser.add_argument("overrides", nargs=argparse.REMAINDER, metavar="KEY VALUE", help="settings that win over FILE")
    return parser


@guarded
def main(argv: list[str] | None = None) -> int:
    made = parser()
    arguments = made.parse_args(argv)
    if arguments.eval_only:
        refuse_unused(made, arguments, ["resume"], "with --eval-only")
    from vireid.engine.launch import in_processes, one_voice
    from vireid.experiment.experiment import Experiment

    with one_voice():
        experiment = Experiment.from_config(arguments.config_file, arguments.overrides)
        code = in_processes(arguments.num_gpus, __file__, argv)
        if code is not None:
            return code
        if arguments.eval_only:
            experiment.evaluate()
        else:
            experiment.train(resume=arguments.resume)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
