"""Dockerfile, compose.yaml, the unit and the proxies' files: as far as they can be held without running them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import PROJECT, Settings

EXTRAS = {"milvus", "postgres", "qdrant", "s3"}
NAMES = {f"GLIMPSE_{name.upper()}" for name in Settings.model_fields}


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction of the Dockerfile, lines joined."""
    text = (PROJECT / "Dockerfile").read_text("utf-8")
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text))
    return [(name, rest) for line in joined.splitlines() if line.strip() for name, _, rest in [line.partition(" ")]]


def ignored_but() -> set[str]:
    lines = (PROJECT / ".dockerignore").read_text("utf-8").split()
    return {line[1:] for line in lines if line.startswith("!")}


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


class TestDockerfile:
    def test_everything_it_copies_is_there_and_reaches_the_builder(self) -> None:
        copied = [shlex.split(rest)[:-1] for rest in of("COPY") if "--from" not in rest]
        names = {name for group in copied for name in group}
        extras = {f"requirements-{extra}.txt" for extra in EXTRAS}
        assert {"requirements.txt", "run.py", "app", "templates", "static", "models"} | extras == names
        assert names == ignored_but()
        assert all((PROJECT / name).exists() for name in names)

    def test_what_the_program_reads_is_copied(self) -> None:
        """Folders of the project that the code names."""
        code = "".join(path.read_text("utf-8") for path in (PROJECT / "app").rglob("*.py"))
        named = set(re.findall(r'PROJECT / "(\w[\w.]*)"', code))
        assert named - ignored_but() == set()

    def test_it_ends_as_a_user_without_rights(self) -> None:
        order = [name for name, _ in instructions()]
        assert of("USER") == ["glimpse"]
        assert order.index("USER") < order.index("ENTRYPOINT")
        assert not any(name in ("RUN", "COPY") for name in order[order.index("USER") :])

    def test_it_installs_torch_for_processors_in_the_version_that_is_required(self) -> None:
        [install] = [rest for rest in of("RUN") if "pip install" in rest]
        assert "download.pytorch.org/whl/cpu" in install
        [expression] = re.findall(r"grep -o '(\S+)' requirements.txt", install)
        found = re.findall(expression.replace("^", "(?m)^"), (PROJECT / "requirements.txt").read_text("utf-8"))
        assert found == ["torch==2.13.0"]

    def test_it_starts_what_the_readme_starts_and_asks_it_for_its_health(self) -> None:
        assert json.loads(of("ENTRYPOINT")[0]) == [".venv/bin/python", "run.py"]
        assert ".venv/bin/python run.py" in (PROJECT / "README.md").read_text("utf-8")
        command = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
        assert "http://127.0.0.1:3000/healthz" in command[-1]
        compile(command[-1], "healthcheck", "exec")
        assert of("EXPOSE") == [str(Settings.model_fields["port"].default)]

    def test_its_settings_exist(self) -> None:
        names = set(re.findall(r"\b(GLIMPSE_\w+)=", " ".join(of("ENV"))))
        assert names
        assert names - NAMES == set()


class TestCompose:
    @pytest.fixture
    def service(self) -> dict[str, Any]:
        composed = yaml.safe_load((PROJECT / "compose.yaml").read_text("utf-8"))
        [service] = composed["services"].values()
        assert composed["volumes"].keys() == {volume.split(":")[0] for volume in service["volumes"]}
        return dict(service)

    def test_its_volumes_are_those_of_the_image(self, service: dict[str, Any]) -> None:
        assert {volume.split(":")[1] for volume in service["volumes"]} == set(json.loads(of("VOLUME")[0]))

    def test_only_this_machine_reaches_it_and_it_has_no_rights(self, service: dict[str, Any]) -> None:
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True

    def test_its_settings_exist(self, service: dict[str, Any]) -> None:
        text = (PROJECT / "compose.yaml").read_text("utf-8")
        assert set(re.findall(r"GLIMPSE_[A-Z_]+", text)) - NAMES == set()


class TestComposeForMore:
    """compose.scale.yaml"""

    @pytest.fixture
    def composed(self) -> dict[str, Any]:
        return dict(yaml.safe_load((PROJECT / "compose.scale.yaml").read_text("utf-8")))

    def test_its_settings_exist_and_hold(self, composed: dict[str, Any]) -> None:
        text = (PROJECT / "compose.scale.yaml").read_text("utf-8")
        assert set(re.findall(r"GLIMPSE_[A-Z_]+", text)) - NAMES == set()
        for service in ("web", "worker"):
            given = composed["services"][service]["environment"]
            settings = {key.removeprefix("GLIMPSE_").lower(): value for key, value in given.items() if "GLIMPSE" in key}
            assert Settings(_env_file=None, **settings).in_bucket

    def test_it_installs_what_its_settings_speak_to(self, composed: dict[str, Any]) -> None:
        extras = set(composed["services"]["web"]["build"]["args"]["EXTRAS"].split())
        assert extras == {"postgres", "s3", "milvus"} & EXTRAS

    def test_only_this_machine_reaches_it_and_passwords_are_asked_for(self, composed: dict[str, Any]) -> None:
        services = composed["services"]
        ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
        assert ports == {"proxy": ["127.0.0.1:3000:3000"]}
        for service in services.values():
            secrets = [
                value for key, value in service.get("environment", {}).items() if "PASSWORD" in key or "SECRET" in key
            ]
            assert all(value.startswith("${") and value.endswith(":?}") for value in secrets)

    def test_all_it_depends_on_and_keeps_is_named(self, composed: dict[str, Any]) -> None:
        services = composed["services"]
        kept = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
        assert kept == composed["volumes"].keys()
        assert {name for service in services.values() for name in service.get("depends_on", [])} <= services.keys()


class TestUnit:
    def test_it_starts_what_the_readme_starts(self) -> None:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read(PROJECT / "deploy" / "glimpse.service")
        service = unit["Service"]
        assert service["ExecStart"] == f"{service['WorkingDirectory']}/.venv/bin/python run.py"
        assert service["User"] == "glimpse"
        assert service["KillMode"] == "mixed"  # the server alone is told; it ends its worker in good order

    def test_systemd_understands_it(self, tmp_path: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd on this machine")
        text = (PROJECT / "deploy" / "glimpse.service").read_text("utf-8")
        unit = tmp_path / "glimpse.service"
        unit.write_text(re.sub(r"/opt/glimpse/\S+ run.py", "/bin/true", text).replace("=/opt/glimpse", "=/"))
        checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
        assert [line for line in checked.stderr.splitlines() if "glimpse" in line] == []


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_proxies_lead_to_the_port_that_is_listened_on(name: str) -> None:
    text = (PROJECT / "deploy" / name).read_text("utf-8")
    assert f"127.0.0.1:{Settings.model_fields['port'].default}" in text
    assert set(re.findall(r"GLIMPSE_[A-Z_]+", text)) - NAMES == set()


def test_the_manual_tells_of_no_setting_that_does_not_exist() -> None:
    told = set(re.findall(r"GLIMPSE_[A-Z_]+[A-Z]", (PROJECT / "docs" / "operations.md").read_text("utf-8")))
    assert told - NAMES == set()
