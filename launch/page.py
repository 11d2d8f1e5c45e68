"""One self-contained HTML page: its parts as strings, no file beside it, no network.

Whatever is put into a part is escaped here, so that a reason or a setting with tags in
it stays text. The page forbids the browser every request (Content-Security-Policy).
"""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plotly.offline import get_plotlyjs

from veldt.launch.console import number

CSS = """
:root { --ink: #1c2733; --soft: #5b6775; --line: #dde2e8; --accent: #0b5cad; --bad: #b3261e; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; padding: 32px 40px 24px; max-width: 1320px; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans",
  "DejaVu Sans", sans-serif; }
header .kind { color: var(--soft); font-size: 13px; letter-spacing: .08em;
  text-transform: uppercase; }
h1 { margin: 0; font-size: 28px; line-height: 1.25; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 44px 0 6px; padding-bottom: 6px; border-bottom: 1px solid var(--line);
  font-size: 19px; font-weight: 650; }
h3 { margin: 22px 0 4px; font-size: 15px; font-weight: 650; }
p { margin: 6px 0 10px; max-width: 86ch; }
.note { color: var(--soft); }
nav { float: right; font-size: 13px; }
a { color: var(--accent); }
.state { display: inline-block; margin-top: 10px; padding: 4px 12px; border-radius: 4px;
  background: #fff6e0; border: 1px solid #ecd9a6; }
.facts { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 0 28px;
  margin: 18px 0 0; }
.facts div { padding: 10px 0; border-top: 1px solid var(--line); min-width: 0; }
.facts dt { color: var(--soft); font-size: 12.5px; }
.facts dd { margin: 0; font-size: 18px; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.facts small { display: block; color: var(--soft); font-size: 12.5px; }
.columns { display: grid; grid-template-columns: minmax(0, 11fr) minmax(0, 9fr); gap: 8px 40px;
  align-items: start; }
.scroll { overflow: auto; max-height: 640px; border: 1px solid var(--line); border-radius: 4px;
  margin: 10px 0; }
.plot { overflow-x: auto; break-inside: avoid; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
.scroll table { width: 100%; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
.scroll th, .scroll td { padding: 5px 12px; }
th { color: var(--soft); font-weight: 600; background: #fff; }
.scroll th { position: sticky; top: 0; background: #f5f7f9; white-space: nowrap; }
.columns td { overflow-wrap: break-word; }
td.n, th.n { text-align: right; white-space: nowrap; }
.scroll td { white-space: nowrap; }
.scroll td.long { min-width: 320px; overflow-wrap: anywhere; white-space: pre-wrap; }
tr.best td { background: #eaf2fb; font-weight: 600; }
tr.failed td { color: var(--bad); }
tr.open td { color: var(--soft); }
.sortable th { cursor: pointer; user-select: none; }
.sortable th:hover, .sortable th:focus-visible { color: var(--accent); }
.sortable th[aria-sort=ascending]::after { content: " \\25B2"; font-size: 9px; }
.sortable th[aria-sort=descending]::after { content: " \\25BC"; font-size: 9px; }
details { margin: 12px 0; }
summary { cursor: pointer; color: var(--accent); }
code { font: 13px ui-monospace, "SFMono-Regular", Menlo, "Liberation Mono", "DejaVu Sans Mono",
  monospace; background: #f3f5f7; padding: 1px 5px; border-radius: 3px; overflow-wrap: anywhere; }
footer { margin-top: 48px; padding-top: 10px; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 13px; }
body.paper { width: 1020px; padding: 0; }
body.paper .plot > div { min-width: 0 !important; }
@media screen and (max-width: 760px) {
  body { padding: 16px 14px; }
  .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .columns { grid-template-columns: minmax(0, 1fr); }
  table { display: block; overflow-x: auto; }
}
@page { size: A4 landscape; margin: 12mm; }
@media print {
  body { font-size: 12px; }
  h2, h3 { break-after: avoid; }
  tr { break-inside: avoid; }
  .scroll { overflow: visible; max-height: none; border: 0; }
  .scroll th, .scroll td, .scroll td.n { position: static; white-space: normal; padding: 2px 5px;
    font-size: 10px; }
  .scroll td.long { min-width: 160px; }
  .modebar { display: none; }
}
"""

# Rows are compared as numbers where a whole column is; a missing value sorts last in
# either direction. Paper has no window to resize with, so plots are drawn at the width of
# a landscape page before printing and back after it.
JS = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
      const numbers = [...table.tBodies[0].rows].every((row) => !isNaN(value(row)));
      const order = (a, b) => numbers ? a - b : a.localeCompare(b);
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        return down ? order(y, x) : order(x, y);
      });
      table.tBodies[0].append(...rows);
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
const fit = (paper) => {
  document.body.classList.toggle("paper", paper);
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const width = paper ? plot.parentElement.clientWidth : null;
    Plotly.relayout(plot, {width: width, autosize: !paper});
  }
};
window.onbeforeprint = () => fit(true);
window.onafterprint = () => fit(false);
"""

# The page of a run that goes on: what is new replaces what is shown. Scripts that are put
# into a page as text do not run, so each is made anew.
LIVE = """
let stamp = "";
const main = document.querySelector("main");
const show = (html) => {
  const [x, y] = [window.scrollX, window.scrollY];
  main.style.minHeight = main.offsetHeight + "px";
  main.innerHTML = html;
  for (const old of main.querySelectorAll("script")) {
    const script = document.createElement("script");
    script.textContent = "{" + old.textContent + "}";
    old.replaceWith(script);
  }
  main.style.minHeight = "";
  window.scrollTo(x, y);
};
const look = async () => {
  const away = document.querySelector("#away");
  try {
    const answer = await fetch("/body", {headers: {"If-None-Match": stamp}, cache: "no-store"});
    if (answer.status === 200) {
      stamp = answer.headers.get("ETag");
      show(await answer.text());
    }
    away.hidden = true;
  } catch (error) {
    away.hidden = false;
  }
  setTimeout(look, 2000);
};
look();
"""
AWAY = "The run has ended, or is out of reach: this is what it had written last."

BODY, END = "<body>", "</body></html>\n"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:"
)


def escape(value: Any) -> str:
    """A value as text for people, safe inside HTML and inside a plot's labels."""
    return html.escape(number(value))


def plural(count: int, noun: str) -> str:
    """ "1 worker", "2 workers"."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def section(title: str, *parts: str) -> str:
    """A part of the page; nothing if all its parts are empty."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>" if any(parts) else ""


def paragraph(text: str, kind: str = "note") -> str:
    return f'<p class="{kind}">{escape(text)}</p>'


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>"


def columns(left: str, right: str) -> str:
    """Two parts side by side."""
    return f'<div class="columns"><div>{left}</div><div>{right}</div></div>'


def facts(items: Iterable[tuple[str, Any, str]]) -> str:
    """Tiles of (name, value, what is said below it)."""
    tiles = [
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(below)}</small></dd></div>"
        for name, value, below in items
    ]
    return f'<dl class="facts">{"".join(tiles)}</dl>'


def table(
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    kinds: Sequence[str] = (),
    sortable: bool = False,
) -> str:
    """A table; columns that hold numbers are set right.

    Args:
        names: Of the columns.
        rows: A value for each column; None is shown as a dash.
        kinds: For each row how it is shown: "best", "failed", "open" or nothing.
        sortable: A click on a column's name sorts, and the table scrolls in a frame.
    """
    numeric = [
        all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(names))
    ]
    heads = "".join(
        f'<th class="n">{escape(name)}</th>' if right else f"<th>{escape(name)}</th>"
        for name, right in zip(names, numeric, strict=True)
    )
    body = "".join(
        f'<tr class="{kind}">{"".join(map(_cell, row, numeric))}</tr>'
        for row, kind in zip(rows, kinds or [""] * len(rows), strict=True)
    )
    whole = f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    if sortable:
        return f'<div class="scroll"><table class="sortable">{whole}</table></div>'
    return f"<table>{whole}</table>"


def _cell(value: Any, numeric: bool) -> str:
    kind = "n" if numeric else "long" if isinstance(value, str) and len(value) > 40 else ""
    exact = "" if value is None else html.escape(repr(value) if numeric else number(value))
    return f'<td class="{kind}" data-sort="{exact}">{escape(value)}</td>'


def settings_table(settings: Mapping[str, Any], title: str = "The settings as used") -> str:
    """Settings by their paths, folded up."""
    rows = [[path, json.dumps(value)] for path, value in leaves(settings)]
    body = table(["setting", "value"], rows)
    return f"<details><summary>{escape(title)}</summary>{body}</details>"


def leaves(settings: Mapping[str, Any], at: str = "") -> Iterable[tuple[str, Any]]:
    """The values of nested settings with their dotted paths."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def code_name(code: Mapping[str, str | None]) -> tuple[str, str]:
    """(version, commit) of settings.json's `code`, the commit shortened."""
    commit, dirty, _ = (code.get("commit") or "").partition("-dirty")
    return f"veldt {code.get('veldt') or 'of unknown version'}", (
        f"commit {commit[:12]}{' and local changes' if dirty else ''}" if commit else ""
    )


def page(kind: str, title: str, state: str, sections: Iterable[str], command: str) -> str:
    """The whole file.

    Args:
        kind: What is reported, above the title.
        title: The heading.
        state: Said below the title where the work is not over; may be empty.
        sections: HTML.
        command: Which made this, for the footer.
    """
    note = f'<div class="state">{escape(state)}</div>' if state else ""
    body = (
        f'<header><div class="kind">{escape(kind)}</div><h1>{escape(title)}</h1>{note}</header>\n'
        f"{''.join(sections)}\n"
        f"<footer>Made by <code>{escape(command)}</code></footer>\n"
        f"<script>{JS}</script>"
    )
    return _document(title, POLICY, body)


def _document(title: str, policy: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style>"
        f"<script>{get_plotlyjs()}</script></head>\n{BODY}{body}{END}"
    )


def body_of(document: str) -> str:
    """What stands inside a page that `page` made."""
    return document[document.index(BODY) + len(BODY) : document.rindex(END)]


def live_page(title: str, body: str, links: Mapping[str, str] | None = None) -> str:
    """A page that asks its server for /body again and again.

    Args:
        title: Of the window.
        body: What there is to show so far.
        links: What else there is: text -> where.
    """
    links = links or {}
    places = [f'<a href="{escape(where)}">{escape(text)}</a>' for text, where in links.items()]
    beside = f'<nav class="note">{" · ".join(places)}</nav>' if places else ""
    away = f'<div class="state" id="away" hidden>{escape(AWAY)}</div>'
    live = f"{away}{beside}<main>{body}</main><script>{LIVE}</script>"
    return _document(title, f"{POLICY}; connect-src 'self'", live)
