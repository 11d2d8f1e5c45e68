"""A report as a test reads it: what a browser would fetch, the text, the tables."""

import html.parser
import re

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
