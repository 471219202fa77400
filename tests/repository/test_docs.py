"""What the documentation names is there."""

import hashlib
import re
import struct

import numpy as np
import pytest
import yaml

from recbole_apa.data.dataset_digest import dataset_digest
from recbole_apa.data.forgotten import Digester, Scope
from recbole_apa.data.samples import Interactions, order_windows
from recbole_apa.evidence import Key, secret_of
from tests.helpers.places import ROOT

PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page):
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page.read_text(encoding="utf-8")):
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:recbole_apa|tests|benchmarks|docs|properties)/[\w/.-]+)`", text)
    named += re.findall(r"\]\((docs/[\w/.-]+)\)", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


def test_the_threat_model_names_tests_for_what_it_says():
    assert (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8").count("::test_") > 20


def part(text):
    return len(text.encode()).to_bytes(8, "big") + text.encode()


def blake(data, key, person=b"", size=32):
    return hashlib.blake2b(data, digest_size=size, key=key, person=person).digest()


def test_the_digests_are_made_as_the_threat_model_says():
    """By the page's own lines, so that others can compute them."""
    key, salt = Key(bytes(range(32))), "ab" * 16
    for names in (("user", "ü"), ("row", "u", "i", "3005"), ("partly", "a:b")):
        plain = hashlib.sha256(b"".join(map(part, ("forgotten", salt, *names)))).digest()
        assert Digester(salt, key).of(*names) == blake(plain, key.secret).hex()
    assert Scope("row", "u", "i", 3005.0).names() == ["row", "u", "i", "3005"]
    assert key.name == blake(b"", key.secret, b"recbole-apa key", 8).hex()
    assert secret_of(salt, None) == salt.encode()
    secret = blake(salt.encode(), key.secret, b"recbole-apa run")
    assert secret_of(salt, key) == secret
    rows = Interactions(["u", "v", "u"], ["i", "i", "j"], np.array([1, 0, 1]), np.array([5.0, 2.0, 4.0]))

    def row(item, time, label):
        return blake(part(item), secret, b"apa name") + struct.pack("<dq", time, label)

    terms = [
        blake(part("u") + row("j", 4, 1) + row("i", 5, 1), secret, b"apa user"),
        blake(part("v") + row("i", 2, 0), secret, b"apa user"),
        blake(part("i") + b"text i", secret, b"apa item"),
        blake(part("j") + b"text j", secret, b"apa item"),
    ]
    numbers = [struct.unpack("<1024H", hashlib.shake_128(term).digest(2048)) for term in terms]
    sums = struct.pack("<1024H", *(sum(lane) % 65536 for lane in zip(*numbers, strict=True)))
    made = dataset_digest(rows, order_windows(rows.users, rows.times), "text {}".format, secret)
    assert made.hex() == blake(sums, secret).hex()


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.name)
def test_a_workflow_tests_what_is_there(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert any("pytest" in line for line in steps)
    named = {word for line in steps for word in re.findall(r"\b(?:tests|docs|\.ci)/[\w/.]+", line)}
    assert [name for name in sorted(named) if not (ROOT / name).exists() and not name.endswith("build/docs")] == []


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("core/files/whole.py", "handle = os.open(path, os.O_RDONLY)"),
        ("evidence/ring_file.py", "sync_folder(path.parent)"),
        ("unlearning/places.py", "effective_ids=True"),
        ("pipeline/workers/process.py", "pass_fds="),
    ],
)
def test_what_windows_refuses_is_still_in_the_code(file, says):
    """When one of these goes, docs/systems.md changes, too."""
    assert f"`recbole_apa/{file}`" in (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")
    assert says in (ROOT / "recbole_apa" / file).read_text(encoding="utf-8")
