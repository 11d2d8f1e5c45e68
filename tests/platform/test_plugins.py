"""Plug-ins: found through the entry points of real distributions."""

import importlib

import pytest

from veldt.platform import plugins
from veldt.platform.errors import BrokenPlugin, DuplicateName, UnknownName

BUILTIN = {"impala": "veldt.agents.impala:Impala", "keys": "veldt.platform.keys:Key"}


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Installs a distribution whose entry points, group veldt.agents, are given."""

    def install(**points):
        folder = tmp_path / "other-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (folder / "entry_points.txt").write_text(f"[veldt.agents]\n{lines}")
        (tmp_path / "other_agent.py").write_text("class Rainbow: pass\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    return install


def test_ours_and_theirs(distribution):
    distribution(rainbow="other_agent:Rainbow")
    assert plugins.load("agents", "rainbow", BUILTIN).__name__ == "Rainbow"
    assert plugins.load("agents", "keys", BUILTIN).__name__ == "Key"
    assert "rainbow" not in plugins.known("searchers", {})


def test_a_taken_name(distribution):
    distribution(impala="other_agent:Rainbow")
    with pytest.raises(DuplicateName, match=r"'impala' is both veldt.*and other_agent:Rainbow"):
        plugins.load("agents", "keys", BUILTIN)


def test_one_that_cannot_be_imported_is_named_and_stops_no_other(distribution, tmp_path):
    distribution(broken="broken_agent:Rainbow", rainbow="other_agent:Rainbow", gone="nowhere:It")
    (tmp_path / "broken_agent.py").write_text("raise RuntimeError('no tree')\n")
    with pytest.raises(BrokenPlugin, match=r"'broken', of the distribution other 1.0, .*no tree"):
        plugins.load("agents", "broken", BUILTIN)
    with pytest.raises(BrokenPlugin, match=r"'gone', .*No module named 'nowhere'"):
        plugins.load("agents", "gone", BUILTIN)
    assert plugins.load("agents", "rainbow", BUILTIN).__name__ == "Rainbow"
    assert plugins.load("agents", "impala", BUILTIN).__name__ == "Impala"


def test_a_misspelt_name():
    with pytest.raises(
        UnknownName, match=r"no 'impale'. Did you mean 'impala'\? Known: impala, k"
    ):
        plugins.load("agents", "impale", BUILTIN)
