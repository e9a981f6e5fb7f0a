"""The documents agree with the code: interface, robot contract, error codes, links and paths."""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from std_msgs.msg import Bool
from substep_interfaces.action import ExecuteTask

from substep_core import contract
from substep_core.errors import ErrorCode
from substep_core.ros import topics

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "ros2_ws/src/substep_policy/substep_policy/weights/compact/README.md",
        ROOT / "ros2_ws/src/substep_planner/substep_planner/data/completion/README.md",
    ]
)
HISTORY = ROOT / "CHANGELOG.md"  # names modules that are gone
CURRENT_PAGES = [page for page in PAGES if page != HISTORY]
PACKAGES = {path.name: path.parent for path in ROOT.glob("ros2_ws/src/*/*") if (path / "__init__.py").exists()}
PACKAGES |= {name: ROOT for name in ("training", "tests", "launch", "docs", "setup", "requirements", "ros2_ws", ".ci")}
HOW_TO_LINES = 80


def tables(page: Path) -> dict[str, list[list[str]]]:
    """Heading -> rows of the table below it, without its head."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return {name: rows[2:] for name, rows in found.items()}


def without_code_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def qos_text(topic: topics.Topic) -> str:
    reliability = "reliable" if topic.reliable else "best effort"
    return f"{reliability}, depth {topic.depth}{', latched' if topic.latched else ''}"


def test_the_interface_lists_every_topic_with_its_type_and_qos():
    listed = [tuple(cell.strip("`") for cell in row[:3]) for row in tables(REFERENCE / "interface.md")["Topics"]]
    assert sorted(listed) == sorted(
        (topic.name, topics.type_name(topic.type), qos_text(topic)) for topic in topics.TOPICS
    )


def test_the_interface_lists_the_topics_that_have_a_drivers_type():
    listed = [
        tuple(cell.strip("`") for cell in row[:2]) for row in tables(REFERENCE / "interface.md")["Of a driver's type"]
    ]
    there = [topics.would_send_arm(Bool), topics.would_send_gripper("<n>", Bool)]
    assert listed == [(topic.name, qos_text(topic)) for topic in there]


def test_the_interface_lists_every_service_and_action():
    rows = tables(REFERENCE / "interface.md")["Services and actions"]
    listed = [tuple(cell.strip("`") for cell in row[:2]) for row in rows]
    there = [(item.name, topics.type_name(item.type)) for item in (*topics.SERVICES, *topics.ACTIONS)]
    assert sorted(listed) == sorted(there)


def default_text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, enum.Enum):
        return value.value
    return "empty" if value in ("", ()) else str(value)


CONTRACT_CLASSES = (
    contract.RobotContract,
    contract.Camera,
    contract.StateGroup,
    contract.ActionGroup,
    contract.PoseSource,
    contract.JointSource,
    contract.SingularityLimits,
    contract.JointLimit,
    contract.KeepOut,
    contract.MotionLimits,
    contract.Workspace,
)


@pytest.mark.parametrize("kind", CONTRACT_CLASSES, ids=lambda kind: kind.__name__)
def test_the_contract_page_has_every_field_with_its_default(kind):
    rows = tables(REFERENCE / "robot_contract.md")[kind.__name__]
    listed = {row[0].strip("`"): row[1] for row in rows}
    there = {}
    for field in dataclasses.fields(kind):
        info = kind.__pydantic_fields__[field.name]
        there[field.name] = "required" if info.is_required() else default_text(info.default)
    assert listed == there


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (contract.CameraRole, ("Camera", "role")),
        (contract.StateQuantity, ("StateGroup", "quantity")),
        (contract.ActionQuantity, ("ActionGroup", "quantity")),
        (contract.Hold, ("ActionGroup", "hold")),
    ],
)
def test_the_contract_page_has_every_value_of_its_enumerations(kind, where):
    heading, field = where
    rows = {row[0].strip("`"): row[-1] for row in tables(REFERENCE / "robot_contract.md")[heading]}
    assert re.findall(r"`(\w+)`", rows[field]) == [item.value for item in kind]


def test_the_error_codes_are_those_of_the_action():
    rows = tables(REFERENCE / "error_codes.md")["Error codes"]
    listed = {row[1]: int(row[0]) for row in rows}
    assert listed == {code.name: code.value for code in ErrorCode}
    assert listed == {name: getattr(ExecuteTask.Result, name) for name in listed}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code_blocks(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page}: {target}"


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_and_modules_in_the_text_are_there(page):
    for code in re.findall(r"`([^`\n]+)`", without_code_blocks(page)):
        first = code.split("/")[0]
        if re.fullmatch(r"[\w.\-]+(/[\w.\-]+)+/?", code) and first in PACKAGES:
            assert any((folder / code).exists() for folder in (ROOT, PACKAGES[first])), f"{page}: {code}"
        elif re.fullmatch(r"\w+(\.\w+)+", code) and code.split(".")[0] in PACKAGES and not code.endswith(".md"):
            assert has_module(code), f"{page}: {code}"


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_entry_points_in_the_text_are_of_groups_that_there_are(page):
    known = set(re.findall(r"^\| `(substep\.\w+)`", (REFERENCE / "registries.md").read_text(), re.MULTILINE))
    for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        assert set(tomllib.loads(block)["project"]["entry-points"]) <= known, page


OWN_PAGES = sorted([*(ROOT / "docs/how-to").glob("*.md"), *REFERENCE.glob("*.md")])
PLACED = re.compile(r"`([^`\n]+)`[^`(|]{0,60}\(((?:`[\w/.]+\.py`(?:, )?)+)[^)|]*\)")  # `Name` (`where/it/is.py`)


@pytest.mark.parametrize("page", OWN_PAGES, ids=lambda page: page.stem)
def test_names_are_in_the_files_that_the_text_says(page):
    text = re.sub(r"\n(?=\w|`|\()", " ", without_code_blocks(page))
    for code, files in PLACED.findall(text):
        if files.split("/")[0].strip("`") not in PACKAGES:
            continue  # of the package that the page is about
        modules = [importlib.import_module(path[:-3].replace("/", ".")) for path in re.findall(r"`([^`]+)`", files)]
        for name in re.findall(r"\b[A-Z][a-z]\w*\b", code):
            there = name in ("None", "Path") or any(hasattr(module, name) for module in modules)
            assert there, f"{page}: {name} is not in {files}"


@pytest.mark.parametrize("page", OWN_PAGES, ids=lambda page: page.stem)
def test_examples_import_what_they_use(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--select",
            "F821",
            "--output-format",
            "concise",
            "-",
        ]
        checked = subprocess.run(ruff, input=block, capture_output=True, text=True)
        assert checked.returncode == 0, f"{page}: {checked.stdout}"
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and not node.module.startswith("my_"):
                module = importlib.import_module(node.module)
                assert [item.name for item in node.names if not hasattr(module, item.name)] == [], page


def has_module(dotted: str) -> bool:
    """It is a module, or something in one."""
    package = dotted.split(".")[0]
    path = PACKAGES[package].joinpath(*dotted.split("."))
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    module, _, name = dotted.rpartition(".")
    return hasattr(importlib.import_module(module), name)


def test_every_page_is_reached_from_the_index():
    docs = ROOT / "docs"
    seen, waiting = set(), [docs / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8"))
        targets = [(page.parent / link).resolve() for link in links if "://" not in link]
        waiting += [target for target in targets if target.is_relative_to(docs)]
    assert seen == set(docs.glob("**/*.md"))


def test_every_room_is_described():
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    rooms = {f"ros2_ws/src/{path.parent.name}" for path in ROOT.glob("ros2_ws/src/*/package.xml")}
    rooms = rooms - {"ros2_ws/src/substep_bringup"} | {
        "launch",
        "substep_cli",
        "setup",
        "requirements",
        "tests",
        "docs",
    }
    rooms |= {path.parent.name for path in ROOT.glob("training/*/*.*") if path.suffix in (".py", ".yaml")}
    assert {room for room in rooms if f"`{room}`" not in page} == set()


def test_the_lines_of_additions_are_those_of_the_package_of_the_tests():
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "tests" / "two_arms" / "two_arms"
    parts = {
        "robot and its world": [package / "world.py", package / "robot.yaml"],
        "backbone (model kind) with its training": package.glob("glance/*.py"),
        "action decoder": [package / "decoder.py"],
        "task suite": [package / "tasks.py"],
        "decomposer": [package / "decomposer.py"],
    }
    lines = {name: sum(len(file.read_text().splitlines()) for file in files) for name, files in parts.items()}
    assert dict(re.findall(r"^\| (.+?) \| .+? \| 0 \| (\d+) \|$", page, re.MULTILINE)) == {
        name: str(count) for name, count in lines.items()
    }


@pytest.mark.parametrize("page", sorted((ROOT / "docs/how-to").glob("*.md")), ids=lambda page: page.stem)
def test_how_to_pages_are_short(page):
    assert len(page.read_text(encoding="utf-8").splitlines()) < HOW_TO_LINES


def test_no_text_refers_to_a_numbered_requirement():
    """Such as "(S7)" or "(T1 to T3)", of a document that readers do not have."""
    number = re.compile(r"\([SETPR]\d{1,2}(?: to [A-Z]?\d+)?(?:, [A-Z]\d+)*\)")
    sources = [path for path in (*PAGES, *python_files()) if path != Path(__file__)]
    found = [f"{path}: {match[0]}" for path in sources for match in number.finditer(path.read_text(encoding="utf-8"))]
    assert found == []


def python_files() -> list[Path]:
    folders = (ROOT / name for name in ("ros2_ws/src", "launch", "training", "tests"))
    return [path for folder in folders for path in folder.rglob("*.py")]
