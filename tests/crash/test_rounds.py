"""Nothing is lost however often a server and its worker are killed. `python -m tests.crash` runs it by hand."""

from __future__ import annotations

import os
import random
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.__main__ import row
from tests.crash.audit import Audit
from tests.crash.ledger import State
from tests.crash.rounds import Rounds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

ROUNDS = int(os.environ.get("GLIMPSE_TEST_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("GLIMPSE_TEST_CRASH_SEED", random.SystemRandom().randrange(1 << 32)))


@pytest.mark.timeout(60 * ROUNDS)
def test_nothing_is_lost_however_often_it_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = Rounds(tmp_path, SEED)
    with capsys.disabled():
        print(f"\nseed {SEED}")  # noqa: T201 - to be had when the machine itself goes down, too
    done = []
    for each in rounds.run(ROUNDS):
        print(row(each))  # noqa: T201 - shown where it fails
        done.append(each)
    assert len(done) == ROUNDS
    assert sum(each.answered for each in done) > ROUNDS
    assert done[-1].found == done[-1].kept


@pytest.mark.timeout(300)
def test_the_audit_notices_what_was_lost_or_came_back(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, 1)
    with closing(rounds.server.start()) as server:
        kept = None
        while kept is None:  # on a busy machine a round may end before its first picture is there
            rounds.round(1, settle=True)
            kept = next((picture for picture in rounds.pictures if picture.surely(State.KEPT)), None)
        audit = Audit(server, rounds.pictures)
        [original] = (server.data / "images").glob(f"??/{kept.md5}.*")
        original.write_bytes(kept.data[:-1] + b"?")
        with pytest.raises(AssertionError, match=kept.md5):
            audit.whole(restarted=False)
        original.write_bytes(kept.data)
        audit.whole(restarted=False)
        kept.may_be = frozenset({State.ABSENT})
        with pytest.raises(AssertionError, match="is kept"):
            audit.first_look()
        kept.may_be = frozenset({State.KEPT})
        assert server.client.delete(f"/api/v1/images/{kept.id}").status_code == 204
        with pytest.raises(AssertionError, match="is in the trash"):
            audit.first_look()
