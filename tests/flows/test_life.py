"""Whole lives: a picture from its upload to its end."""

from __future__ import annotations

from tests.conftest import Glimpse
from tests.pictures import picture


def test_a_picture_is_uploaded_indexed_found_deleted_and_gone(glimpse: Glimpse) -> None:
    red, blue = picture("red"), picture("blue")
    first, second = glimpse.upload(("rose.jpg", red), ("sea.jpg", blue))
    assert (first["outcome"], second["outcome"]) == ("added", "added")
    assert f'href="/images/{first["id"]}"' in glimpse.client.get("/").text

    glimpse.work()
    assert glimpse.search("something red") == ["rose.jpg", "sea.jpg"]
    assert glimpse.search("something blue") == ["sea.jpg", "rose.jpg"]

    assert glimpse.client.delete(f"/api/v1/images/{first['id']}").status_code == 204
    assert glimpse.search("something red") == ["sea.jpg"]
    assert glimpse.client.get(f"/images/{first['id']}").status_code == 404
    assert f'href="/images/{first["id"]}"' not in glimpse.client.get("/").text

    [again] = glimpse.upload(("rose again.jpg", red))
    assert (again["outcome"], again["id"]) == ("added", first["id"]), "out of the trash"
    glimpse.work()
    assert glimpse.search("something red") == ["rose.jpg", "sea.jpg"]

    assert glimpse.client.delete(f"/api/v1/images/{first['id']}?forever=true").status_code == 204
    [once_more] = glimpse.upload(("rose again.jpg", red))
    assert once_more["outcome"] == "added"
    assert once_more["id"] != first["id"]
    glimpse.work()
    assert glimpse.search("something red") == ["rose again.jpg", "sea.jpg"]
