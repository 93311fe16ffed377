"""Print a completion script for bash or zsh.

Load it in the startup file of the shell: eval "$(vireid completion bash)".
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from shlex import quote

from vireid.cli.main import COMMANDS, command_parser

EXAMPLES = """
  eval "$(%(prog)s bash)"      # in ~/.bashrc
  eval "$(%(prog)s zsh)"       # in ~/.zshrc, after compinit
"""
SCRIPT = """\
# Completion of the vireid command, printed by `vireid completion`.
_vireid() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words={commands}
    else
        case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}} $previous" in
{values}
        *)
            case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{options}
            esac
            ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _vireid vireid
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vireid completion`."""
    parser.add_argument("shell", choices=["bash", "zsh"], metavar="SHELL", help="bash or zsh")


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `vireid completion` and return its exit code."""
    print(ZSH * (arguments.shell == "zsh") + script(), end="")
    return 0


def script() -> str:
    """Generate the script from the parsers of all commands; a place without words completes file names."""
    values, options = [], []
    for place, parser in _parsers():
        words = []
        for action in parser._actions:
            choices = list(action.choices or ())
            if not action.option_strings:
                words += choices
                continue
            words += action.option_strings
            if action.nargs != 0:
                patterns = "|".join(f"{place}{quote(f' {option}')}" for option in action.option_strings)
                values.append(f"        {patterns}) words={quote(' '.join(choices))} ;;")
        options.append(f"            {place}) words={quote(' '.join(words))} ;;")
    commands = quote(" ".join([*COMMANDS, "--help", "--version"]))
    return SCRIPT.format(commands=commands, values="\n".join(values), options="\n".join(options))


def _parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield a shell pattern of the first two words and the parser of each command; subcommands come first."""
    for name in COMMANDS:
        parser = command_parser(name)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for word, child in action.choices.items():
                    yield f"{quote(f'{name} {word}')}", child
        yield f"{quote(f'{name} ')}*", parser
