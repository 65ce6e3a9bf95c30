"""Static files: complete, from here only, and readable in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
STATIC = PROJECT / "static"
TEMPLATES = sorted((PROJECT / "templates").glob("*.html"))
SHEETS = sorted((STATIC / "css").glob("*.css"))
SCRIPTS = sorted((STATIC / "js").glob("*.js"))

Colours = dict[str, str]


def tokens() -> tuple[Colours, Colours, Colours]:
    """Named values in the light, those the dark redefines, and the roles."""
    css = (STATIC / "css/tokens.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    light, dark, roles = (dict(re.findall(r"(--[\w-]+): ([^;]+);", block)) for block in blocks)
    return light, dark, roles


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("file", [*TEMPLATES, *SHEETS, *SCRIPTS], ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file: Path) -> None:
    assert not re.search(r"(https?:)?//[\w-]+\.", re.sub(r"^\s*//.*$", "", file.read_text(), flags=re.MULTILINE))


def test_every_sheet_is_linked() -> None:
    base = (PROJECT / "templates/base.html").read_text()
    linked = re.findall(r'"(\w+)"', re.findall(r"{% for sheet in \((.*?)\) %}", base)[0])
    assert set(linked) == {sheet.stem for sheet in SHEETS}


def test_a_script_is_either_started_or_imported() -> None:
    """A module under two addresses, with and without a digest, would be two modules."""
    base = (PROJECT / "templates/base.html").read_text()
    started = set(re.findall(r'"(\w+)"', re.findall(r"{% for script in \((.*?)\) %}", base)[0]))
    imported = {name for script in SCRIPTS for name in re.findall(r'from "\./(\w+)\.js"', script.read_text())}
    assert not started & imported
    assert started | imported == {script.stem for script in SCRIPTS}


def test_every_icon_is_in_the_sheet_and_named_in_third_party() -> None:
    have = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))
    html = "".join(template.read_text() for template in TEMPLATES)
    used = set(re.findall(r'parts\.icon\("([\w-]+)"\)', html)) | {"check", "copy-check", "x"}
    assert used <= have
    assert "Lucide" in (PROJECT / "THIRD_PARTY.md").read_text()


def test_every_ratio_has_its_class() -> None:
    css = (STATIC / "css/ratios.css").read_text()
    ratios = {name: float(value) for name, value in re.findall(r"\.r-(\d{3}) { --ratio: ([\d.]+); }", css)}
    assert ratios == {f"{hundredths:03}": hundredths / 100 for hundredths in range(50, 301)}


def test_the_dark_redefines_named_values_only() -> None:
    light, dark, roles = tokens()
    assert set(dark) == set(light)
    assert not set(dark) & set(roles)


def test_other_sheets_use_roles_only() -> None:
    light, _dark, _roles = tokens()
    for sheet in SHEETS:
        if sheet.name != "tokens.css":
            assert not set(re.findall(r"var\((--[\w-]+)", sheet.read_text())) & set(light), sheet.name


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("--text", "--surface", 7),
        ("--text", "--surface-raised", 7),
        ("--text", "--danger-soft", 7),
        ("--text-quiet", "--surface", 4.5),
        ("--text-quiet", "--surface-raised", 4.5),
        ("--text-quiet", "--surface-sunken", 4.5),
        ("--text-quiet", "--placeholder", 4.5),
        ("--accent", "--surface", 4.5),
        ("--accent", "--surface-raised", 4.5),
        ("--accent", "--accent-soft", 3),
        ("--on-accent", "--accent", 4.5),
        ("--on-accent", "--accent-strong", 4.5),
        ("--danger", "--surface-raised", 4.5),
        ("--danger", "--danger-soft", 4.5),
        ("--surface", "--danger", 4.5),
        ("--line-control", "--surface", 3),
        ("--line-control", "--surface-raised", 3),
        ("--focus", "--surface", 3),
    ],
)
def test_contrast(theme: str, front: str, back: str, least: float) -> None:
    light, dark, roles = tokens()
    named = light if theme == "light" else dark

    def colour(role: str) -> str:
        return named[roles[role].removeprefix("var(").removesuffix(")")]

    assert contrast(colour(front), colour(back)) >= least
