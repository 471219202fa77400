"""README is a page; the book's links, words and lists are those of the repository."""

import ast
import configparser
import json
import re
from importlib import metadata

import pytest
import yaml

import recbole_apa
from tests.helpers.places import ROOT

DOCS = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/*.ipynb")])
PAGES = [*DOCS, *sorted(ROOT.glob("*.md")), ROOT / "benchmarks" / "README.md"]
PARTS_OF_BENCHMARKS = {"one_process", "request_jobs", "run"}  # started by others, or explained by themselves
COMMANDS_OF_BENCHMARKS = [
    path.stem
    for path in ROOT.glob("benchmarks/*.py")
    if "\nif __name__" in path.read_text(encoding="utf-8") and path.stem not in PARTS_OF_BENCHMARKS
]
BUILD = "sphinx-build -W --keep-going -b html docs"
CODE = re.compile(r"^```.*?^```", re.M | re.S)
OUTSIDE = re.compile(r"\b(DESIGN|HOUSE|TOPK|STYLE|METHODS|ENVIRONMENTS|README)\b|\bTRUST(?:\.md)? \d|\.\./shared")


def text_of(page):
    """A page's Markdown; of a notebook that of its cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        return "\n\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    return text


def anchors(page):
    """What a link may name after ``#``: headings as GitHub and MyST write them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", text_of(page)), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def links(page):
    """Links to other documents of the repository, and to places in this one."""
    text = re.sub(r"`[^`\n]*`", "", CODE.sub("", text_of(page)))
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def ordinary_lines(text):
    """Lines outside of code."""
    return CODE.sub("", text).splitlines()


def test_readme_is_a_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert [line for line in ordinary_lines(text) if len(line) > 120] == []
    tables = [block for block in CODE.findall(text) if re.search(r"^-{3,}  -{3,}", block, re.M)]
    assert tables, "the table that a run prints is gone"
    rows = [line for block in tables for line in block.splitlines()]
    rows += [line for line in text.splitlines() if line.startswith("|")]
    assert [row for row in rows if len(row) > 100] == []


@pytest.mark.parametrize("page", [page for page in DOCS if page.suffix == ".md"], ids=lambda page: page.name)
def test_prose_of_the_book_fits_a_screen(page):
    long = [line for line in ordinary_lines(text_of(page)) if len(line) > 120 and not line.startswith(("|", "- `"))]
    assert [line for line in long if " " in line.strip()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        name, _, place = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not place or place in anchors(target), link


def test_links_are_looked_at():
    assert sum(len(links(page)) for page in PAGES) > 40
    assert "the-check-before-a-certificate" in anchors(ROOT / "docs" / "threat-model.md")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_test_that_the_book_names_is_there(page):
    for file, name in re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?", text_of(page)):
        found = list((ROOT / "tests").rglob(file))
        assert len(found) == 1, file
        assert not name or f"\ndef {name}(" in found[0].read_text(encoding="utf-8"), (file, name)


@pytest.mark.parametrize("folder", ["recbole_apa", "properties"])
def test_nothing_points_outside_the_repository(folder):
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".pyi", ".yaml", ".html")]
    assert len(files) > 15
    found = {str(path.relative_to(ROOT)): OUTSIDE.findall(path.read_text(encoding="utf-8")) for path in files}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_tests_and_benchmarks_name_no_document_outside_the_repository(folder):
    plans = re.compile(r"\b(?:DESIGN|HOUSE|TOPK|STYLE|METHODS|ENVIRONMENTS|TRUST)(?:\.md\b| \d| section)|/work/")
    files = [path for path in sorted((ROOT / folder).rglob("*.py")) if path != ROOT / "tests/repository/test_book.py"]
    found = {str(path.relative_to(ROOT)): plans.findall(path.read_text(encoding="utf-8")) for path in files}
    assert {name: words for name, words in found.items() if words} == {}


def test_every_benchmark_has_a_row_in_its_table():
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `python -m benchmarks.")]
    named = {name for row in rows for name in re.findall(r"(?:benchmarks|`)\.(\w+)", row.split(" | ")[0])}
    assert named == set(COMMANDS_OF_BENCHMARKS)


def test_documents_that_the_code_names_are_there():
    named = [
        (path.name, page)
        for folder in ("recbole_apa", "properties")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml")
        for page in re.findall(r"\b(?:docs|benchmarks)/[\w-]+\.md", path.read_text(encoding="utf-8"))
    ]
    assert named and [entry for entry in named if not (ROOT / entry[1]).is_file()] == []


def test_the_book_is_built_by_one_command():
    for place in ("README.md", ".ci/run", ".github/workflows/tests.yml", "docs/conventions.md", "docs/conf.py"):
        assert BUILD in (ROOT / place).read_text(encoding="utf-8"), place


def rooms():
    return {path.parent.name for path in (ROOT / "recbole_apa").glob("*/__init__.py")}


def test_every_room_has_its_place_in_the_book():
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    # the command line is described where it is used
    assert set(re.findall(r"automodule:: recbole_apa\.(\w+)", api)) == rooms() - {"cli"}
    table = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8").split("| room |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == rooms()


def test_every_room_says_what_it_may_not_know_and_what_it_offers():
    """docs/how-it-works.md says so of each front door."""
    says = re.compile(r"may not know|independent of|[Ii]mports no |[Kk]nows nothing about")
    for door in sorted((ROOT / "recbole_apa").rglob("__init__.py")):
        text = door.read_text(encoding="utf-8")
        offers = [
            name.id
            for node in ast.parse(text).body
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        ]
        assert "__all__" in offers, door
        if door.parent.name in rooms() and door.parent.parent.name == "recbole_apa":
            assert says.search(ast.get_docstring(ast.parse(text)) or ""), door


def test_files_of_the_package_that_the_book_names_are_there():
    text = text_of(ROOT / "docs" / "how-it-works.md")
    named = re.findall(r"`(\w+/[\w/]+\.py)`", text)
    assert len(named) > 30
    assert [name for name in named if not any((ROOT / f / name).is_file() for f in ("", "recbole_apa"))] == []


def test_the_walks_are_as_long_as_they_say_and_short():
    text = text_of(ROOT / "docs" / "how-it-works.md").split("## A walk through the files")[1].split("\n## ")[0]
    walks = re.findall(r", (\d+) files:\n\n((?:\|.*\n)+)", text)
    assert [int(n) for n, _ in walks] == [len(table.splitlines()) - 2 for _, table in walks]
    assert all(int(n) <= most for (n, _), most in zip(walks, (16, 18, 13), strict=True))


def test_the_version_stands_in_one_place(monkeypatch):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == setup["metadata"]["version"]
    if any(d.name == "recbole-apa" for d in metadata.distributions()):
        assert recbole_apa.__version__ == metadata.version("recbole-apa") == setup["metadata"]["version"]

    def not_installed(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", not_installed)
    assert recbole_apa.__version__ == "0+unknown"


def test_forms_and_hooks_can_be_read():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) >= 3
    for form in forms:
        read = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert form.name == "config.yml" or {"name", "description", "body"} <= set(read)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(hook["entry"].removesuffix(" --force-exclude") in ci for hook in hooks)
