"""HTML of the page: its frame, its style and the few elements that sections are made of. Text is escaped here."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1e22; --faint: #5d6470; --line: #dfe2e6; --soft: #f5f6f8;
  --accent: #0b5cad; --right: #00724c; --wrong: #b9261b; }
@media (prefers-color-scheme: dark) { :root { --paper: #1b1e23; --ink: #e4e6ea; --faint: #a3abb6; --line: #3a3f47;
  --soft: #23272e; --accent: #7fb8f0; --right: #4fd0a3; --wrong: #ff8d80; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .6rem; padding-top: 1.1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
h4 { font-size: .93rem; font-weight: 600; margin: 0 0 .45rem; }
section { margin-top: 2.4rem; }
p { margin: .4rem 0 .8rem; max-width: 46em; }
.kicker { color: var(--faint); margin: 0 0 .2rem; font-size: .9rem; }
.lead { font-size: 1.12rem; margin: .35rem 0; }
.faint, figcaption { color: var(--faint); font-size: .9rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: .8rem 0 0; padding: 0;
  font-size: .93rem; }
a { color: var(--accent); text-underline-offset: 2px; }
.note { border-left: 3px solid var(--accent); background: var(--soft); padding: .55rem .8rem; margin: .8rem 0;
  max-width: none; overflow-wrap: anywhere; font-size: .93rem; }
.scroll { overflow-x: auto; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 12px 48px;
  align-items: start; }
.beside > * { min-width: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.results { width: 100%; }
.results th, .results td { padding: .32rem 1.1rem .32rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
.results thead th { white-space: nowrap; }
.results tbody th { font-weight: 400; color: var(--faint); white-space: nowrap; }
.results .score td { font-size: 1.12rem; white-space: nowrap; }
.results .score tr:first-child td { font-weight: 650; }
.spread { color: var(--faint); font-size: .88em; font-weight: 400; white-space: nowrap; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 20px;
  align-items: start; }
figure { margin: 0; }
.wide img { max-width: none; }
.plots img { width: 100%; max-width: 640px; height: auto; display: block;
  border: 1px solid var(--line); border-radius: 6px; }
.sheets { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 8px 36px;
  align-items: start; }
.sheet { width: 100%; table-layout: fixed; max-width: 560px; }
.sheet th { font-size: .78rem; font-weight: 500; line-height: 1.25; padding: 2px; vertical-align: bottom;
  overflow-wrap: break-word; }
.sheet thead th:first-child { width: 3.4rem; }
.sheet tbody th { vertical-align: middle; text-align: left; }
.sheet th span { display: block; color: var(--faint); font-weight: 400; }
.sheet td { padding: 2px; }
.sheet img { width: 100%; height: auto; display: block; border-radius: 2px; }
.sheet .none { aspect-ratio: 1 / 2; border: 1px dashed var(--line); border-radius: 2px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.query { padding: .9rem 0 .8rem; border-top: 1px solid var(--line); }
.query:first-of-type { border-top: 0; }
.strip { display: grid; grid-template-columns: calc((100% - 94px) / 11) minmax(0, 1fr); gap: 22px; }
.answers { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 8px; list-style: none;
  margin: 0; padding: 0; }
.strip img { width: 100%; height: auto; display: block; }
.strip figcaption { font-size: .74rem; line-height: 1.3; margin-top: 3px; }
.strip b { color: var(--ink); font-weight: 600; display: block; }
.right { color: var(--right); font-weight: 600; } .wrong { color: var(--wrong); font-weight: 600; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1.4rem; margin: 0; }
.facts dt { color: var(--faint); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.sorted th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; }
.sorted th[aria-sort=descending] button::after { content: " \\2193"; }
.sorted th[aria-sort=ascending] button::after { content: " \\2191"; }
.sorted tbody th { color: var(--ink); } .failed { color: var(--wrong); }
summary { cursor: pointer; color: var(--accent); }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .9rem 1rem; overflow-x: auto;
  font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { color: var(--faint); font-size: .85rem; padding-top: 2.4rem; padding-bottom: 2.4rem; }
@media (max-width: 700px) {
  body { font-size: 15px; } header, main, footer { padding-left: 14px; padding-right: 14px; }
  .strip { grid-template-columns: calc((100% - 32px) / 6) minmax(0, 1fr); gap: 12px; }
  .answers { grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 8px 5px; }
  .strip figcaption { font-size: .68rem; }
  .sheet th { font-size: .72rem; } .sheet th span { font-size: .62rem; }
  .results th, .results td { padding-right: .7rem; }
  .results thead th, .results .condition th { white-space: normal; }
}
@media print { nav, footer { display: none; } .query, figure { break-inside: avoid; } }
"""


SORTING = """
for (const table of document.querySelectorAll("table.sorted")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => Number(row.cells[column].dataset.value || -1);
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? 1 : -1) * (key(b) - key(a)));
      table.tBodies[0].append(...rows);
    });
  });
}
"""  # tables of the class `sorted`: a button in a heading sorts by the cells' data-value


def document(title: str, body: str, *, script: str = "") -> str:
    """The whole page; its policy forbids scripts but `script`, and anything from a network."""
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    policy += f"; script-src 'sha256-{digest}'" if script else ""
    end = f"<script>{script}</script>\n" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="vireid">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
{end}</body>
</html>
"""


def section(name: str, title: str, *parts: str) -> str:
    """A section of the page under its heading; `parts` are HTML, empty ones are left out."""
    inside = "\n".join(part for part in parts if part)
    return f'<section id="{escape(name)}" aria-labelledby="{escape(name)}-title">\n' + (
        f'<h2 id="{escape(name)}-title">{escape(title)}</h2>\n{inside}\n</section>'
    )


def paragraph(text: str, kind: str = "") -> str:
    """`text` as it is: characters with a meaning in HTML are escaped.

    >>> paragraph("a < b")
    '<p>a &lt; b</p>'
    """
    return f'<p class="{escape(kind)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """A sentence that something is missing, and how to make it."""
    return paragraph(text, "note")


def picture(uri: str, alt: str, *, dark: str = "") -> str:
    """An image inlined in the page, and another one for dark pages."""
    image = f'<img src="{uri}" alt="{escape(alt)}">'
    if not dark:
        return image
    return f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">{image}</picture>'


def figure(image: str, caption: str = "") -> str:
    """A picture with an optional caption; both are HTML."""
    return f"<figure>{image}{f'<figcaption>{caption}</figcaption>' if caption else ''}</figure>"


def facts(values: Mapping[str, object]) -> str:
    """Names and values as a description list."""
    rows = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in values.items())
    return f'<dl class="facts">{rows}</dl>'


def row(name: str, cells: Sequence[str], *, merge: bool = False) -> str:
    """A table row; cells are HTML. `merge`: one cell spans all columns where they are all equal."""
    if merge and len(cells) > 1 and len(set(cells)) == 1:
        inside = f'<td colspan="{len(cells)}">{cells[0]}</td>'
    else:
        inside = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{inside}</tr>'


def navigation(entries: Iterable[tuple[str, str]]) -> str:
    """Links to the sections, from (id, title) pairs."""
    links = "".join(f'<li><a href="#{escape(name)}">{escape(title)}</a></li>' for name, title in entries)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
