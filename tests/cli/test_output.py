"""Tables that can be read by programs and on narrow terminals."""

from __future__ import annotations

import pytest

from workers.cli.output import show_table

ROW = {
    "id": "019aa0c5-0000-7000-8000-000000000000",
    "event": "provisioning.completed",
    "channel": "email",
    "status": "dead_letter",
    "detail": "550 no such mailbox, and a long sentence that goes on for longer than a line has room",
}
NAMES = ("id", "event", "channel", "status")


@pytest.mark.parametrize("width", [20, 60, 80, 120, 200])
def test_no_name_is_ever_broken_and_no_id_left_out(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show_table([ROW], (*NAMES, "detail"), spare=("channel", "event"))
    said = capsys.readouterr().out
    shown = said.split("\n")[1].split()
    assert {"id", "status", "detail"} <= set(shown)
    assert all(ROW[name] in said for name in NAMES if name in shown)
    assert all(word in said for word in ROW["detail"].split())
    assert ("event" in shown) == (width >= 120)


def test_lines_have_no_blanks_at_their_ends_and_the_heading_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(
        [{"count": 1, "reason": "refused"}], ("reason", "count"), title="A heading longer than the table is wide"
    )
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "A heading longer than the table is wide"
    assert [line for line in lines if line != line.rstrip()] == []
