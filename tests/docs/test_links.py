"""Links between the pages lead somewhere: to files that exist, and to headings that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md"))
)
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|^    [^\n]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(text: str) -> list[str]:
    """The targets of a page's links; not those in code."""
    return [target for target in LINK.findall(CODE.sub("x", text)) if "://" not in target]


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    plain = (re.sub(r"[`*]", "", heading) for heading in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def test_there_are_pages_and_links():
    assert len(PAGES) > 15
    assert sum(len(links((ROOT / page).read_text("utf-8"))) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    path = ROOT / page
    broken = []
    for target in links(path.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            broken.append(target)

    assert broken == []


def test_every_page_is_named_in_the_readme():
    """A page that nothing leads to is read by nobody."""
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        found = {
            ((ROOT / page).parent / name.partition("#")[0]).resolve().relative_to(ROOT).as_posix()
            for page in new
            if page in PAGES
            for name in links((ROOT / page).read_text("utf-8"))
        }
        new = found - reached

    assert [page for page in PAGES if page.startswith("docs/") and page not in reached] == []
