"""The door: which names are answered to, and whose requests may change something."""

from __future__ import annotations

import pytest

from app.config import Settings
from tests.conftest import Glimpse, running


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:3000",
        "192.168.1.7",
        "[::1]:3000",
        "localhost",
        "localhost:3000",
        "nas",
        "nas.local:3000",
        "pi.home.arpa",
    ],
)
def test_addresses_and_local_names_are_answered(glimpse: Glimpse, host: str) -> None:
    assert glimpse.client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:3000",
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example.",
        "evil.8.b.d.0.1.0.0.2.ip6.arpa",
        "evilhome.arpa",
    ],
)
def test_a_strangers_name_for_this_machine_is_not(glimpse: Glimpse, host: str) -> None:
    for path in ("/", "/api/v1/images", "/static/icon.svg"):
        answer = glimpse.client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert "GLIMPSE_HOSTS" in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_names_that_were_set_are_answered(settings: Settings) -> None:
    with running(settings.model_copy(update={"hosts": "photos.example.org, other.example"})) as glimpse:
        assert glimpse.client.get("/", headers={"host": "photos.example.org"}).status_code == 200
        assert glimpse.client.get("/", headers={"host": "OTHER.example:443"}).status_code == 200
        assert glimpse.client.get("/", headers={"host": "third.example"}).status_code == 421
