"""Options of a command line: former names, and options that have no effect in the chosen mode."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from vireid.core.errors import UserError


def former_name(parser: argparse.ArgumentParser, option: str, *, dest: str, **arguments: Any) -> None:
    """Accept the former name of an option for one release; it is not listed in the help.

    Args:
        parser: Parser that has the option under its current name already.
        option: Former name.
        dest: `dest` of the option.
        **arguments: Of `add_argument`, as for the current name.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument("--compare")
        >>> former_name(parser, "--beside", dest="compare")
        >>> parser.parse_args(["--beside", "runs/a"]).compare
        'runs/a'
    """
    parser.add_argument(option, dest=dest, help=argparse.SUPPRESS, **arguments)


def refuse_unused(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, unused: Iterable[str], mode: str
) -> None:
    """Raise where an option was given that the mode ignores; a value equal to the default passes.

    Args:
        parser: Parser of the tool.
        arguments: What it parsed.
        unused: Names (`dest`) of the options that have no effect.
        mode: The mode in words, as in "with --dry-run".

    Raises:
        UserError: With all such options.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> _ = parser.add_argument("--jobs", type=int, default=1)
        >>> refuse_unused(parser, parser.parse_args(["--jobs", "2"]), ["jobs"], "with --dry-run")
        Traceback (most recent call last):
            ...
        vireid.core.errors.UserError: --jobs has no effect with --dry-run; leave it out
    """
    names = {action.dest: (action.option_strings or [action.dest])[0] for action in reversed(parser._actions)}
    given = [names[dest] for dest in unused if getattr(arguments, dest) != parser.get_default(dest)]
    if given:
        verb, pronoun = ("has", "it") if len(given) == 1 else ("have", "them")
        raise UserError(f"{', '.join(given)} {verb} no effect {mode}; leave {pronoun} out")
