"""Check the words of pages and of Python files (docstrings, comments, messages) against `vocabulary.txt`.

`make lint` runs this file as a script. It prints one line for each word to replace, and the exit code is 1 if there are
any.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = Path(__file__).with_suffix(".txt")
# MODEL_ZOO.md: its text is that of its generator. CHANGELOG.md keeps the words of each version.
EXCLUDED = {"CHANGELOG.md", "MODEL_ZOO.md"}
PYTHON_FOLDERS = ("vireid", "tools", "benchmarks")
# f-strings are tokens of their own from Python 3.12 on
PROSE_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
EXCLUDED_FOLDERS = ("benchmarks/results/", "runs/", "datasets/")


@dataclass
class Vocabulary:
    """Words to avoid with their replacements, and phrases in which such a word is allowed."""

    replacements: dict[str, str] = field(default_factory=dict)
    allowed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """One word to replace."""

    line: int
    word: str
    replacement: str


def read_vocabulary(text: str) -> Vocabulary:
    """Parse lines `word -> write instead` and `allow phrase`.

    Raises:
        ValueError: If a line has another form.
    """
    vocabulary = Vocabulary()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        word, arrow, replacement = (part.strip() for part in line.partition("->"))
        if arrow and word and replacement:
            vocabulary.replacements[word.lower()] = replacement
        elif not arrow and line.startswith("allow "):
            vocabulary.allowed.append(line.removeprefix("allow ").strip().lower())
        else:
            raise ValueError(f"{WORDS.name}:{number}: {line!r} is not 'word -> write instead' or 'allow phrase'")
    return vocabulary


def pattern(word: str) -> str:
    """Regular expression of an entry: whole words, `*` for any ending, any white space between words."""
    parts = (re.escape(part).replace(r"\*", r"\w*") for part in word.split())
    return r"(?<!\w)" + r"\s+".join(parts) + r"(?!\w)"


def blank(match: re.Match[str]) -> str:
    """Spaces in place of the matched text; line breaks stay, so that line numbers do not change."""
    return re.sub(r"[^\n]", " ", match.group())


def prose(page: str) -> str:
    """The text of a Markdown page with code and link targets replaced by spaces."""
    for code in (r"(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$", r"`[^`]*`", r"(?<=\])\([^)\s]*\)", r"https?://\S+"):
        page = re.sub(code, blank, page)
    return page


def python_prose(source: str) -> str:
    """The comments and the strings with spaces of a Python file; everything else is replaced by spaces.

    Strings without a space are names and keys. Placeholders of f-strings, doctests and `code` are no prose.
    """
    lines = source.splitlines(keepends=True)
    kept = [re.sub(r"[^\n]", " ", line) for line in lines]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in PROSE_TOKENS or (token.type != tokenize.COMMENT and " " not in token.string):
            continue
        (first, start), (last, end) = token.start, token.end
        for row in range(first - 1, last):
            here = slice(start if row == first - 1 else 0, end if row == last - 1 else len(lines[row]))
            kept[row] = kept[row][: here.start] + lines[row][here] + kept[row][here.stop :]
    text = "".join(kept)
    for code in (r"\{[^{}\n]*\}", r"(?m)^[ \t]*(>>>|\.\.\.).*$", r"`[^`]*`", r"https?://\S+"):
        text = re.sub(code, blank, text)
    return text


def findings(text: str, vocabulary: Vocabulary) -> list[Finding]:
    """All words of a prose text that the vocabulary replaces, in the order of their lines."""
    for phrase in vocabulary.allowed:
        text = re.sub(pattern(phrase), blank, text, flags=re.IGNORECASE)
    result = [
        Finding(text.count("\n", 0, match.start()) + 1, " ".join(match.group().split()), replacement)
        for word, replacement in vocabulary.replacements.items()
        for match in re.finditer(pattern(word), text, flags=re.IGNORECASE)
    ]
    return sorted(result, key=lambda finding: finding.line)


def texts(root: Path) -> Iterator[Path]:
    """The files that are checked: Python files, and Markdown files except generated pages."""
    for folder in PYTHON_FOLDERS:
        yield from sorted((root / folder).rglob("*.py"))
    for folder in (root, root / "docs", root / "benchmarks", root / "configs"):
        for page in sorted(folder.glob("*.md") if folder == root else folder.rglob("*.md")):
            name = page.relative_to(root).as_posix()
            if name not in EXCLUDED and not name.startswith(EXCLUDED_FOLDERS):
                yield page


def main(arguments: Sequence[str]) -> int:
    """Check the given files, or all of them; return the exit code."""
    vocabulary = read_vocabulary(WORDS.read_text(encoding="utf-8"))
    count = 0
    for page in [Path(argument).resolve() for argument in arguments] or list(texts(ROOT)):
        name = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else str(page)
        content = page.read_text(encoding="utf-8")
        for finding in findings((python_prose if page.suffix == ".py" else prose)(content), vocabulary):
            print(f"{name}:{finding.line}: {finding.word!r}; write: {finding.replacement}")
            count += 1
    if count:
        print(f"{count} words to replace (the list: {WORDS.relative_to(ROOT).as_posix()})")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
