"""A report as a test reads it: what a browser would fetch, the text, the tables."""

import html.parser
import re
import subprocess

from veldt.launch.report import write


class Reader(html.parser.HTMLParser):
    """Collects what a browser would fetch, the text that is not a script, and the tables."""

    def __init__(self):
        super().__init__()
        self.fetched, self.text, self.rows, self._inside = [], [], [], ""
        self._in_cell = False

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "style"):
            self._inside = tag
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset")]
        self.fetched += [tag] if tag in ("link", "iframe", "object", "embed") else []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if not self._inside:
            self.text.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data


def report(folder):
    """(the page, its text, the rows of its tables)"""
    page = write(folder, folder / "report.html").read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.fetched == []
    assert "default-src 'none'" in page
    assert not re.search(r"@import|url\(", page.partition("</style>")[0])
    return page, " ".join(" ".join(reader.text).split()), reader.rows


def browsed(path, profile):
    """A page as Chromium has it; it has nothing to complain of."""
    options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync "
    options += "disable-background-networking disable-component-update enable-logging=stderr "
    options += f"virtual-time-budget=4000 dump-dom user-data-dir={profile}"
    command = ["chromium", *(f"--{option}" for option in options.split()), path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    return done.stdout


def plots(page):
    """The names of the plots that were drawn in a page that was browsed."""
    found = re.findall(r'<div id="([a-z-]+)" class="plotly-graph-div js-plotly-plot"', page)
    assert page.count("main-svg") >= len(found)
    return found
