"""Parts of methods say that they are experimental as long as no leaderboard has an entry with them."""

import json

from bench.boards import BOARDS
from embench import registry
from embench.leaderboard.entries import list_entry_folders
from embench.records.record import read_manifest
from embench.records.wording import bare_name

KINDS = ("encoder", "pretrainer", "fusion")
REASON = "no published entry"


def test_a_bundled_part_is_experimental_exactly_while_no_published_entry_has_it():
    used = set()
    for folder in list_entry_folders(BOARDS):
        method = read_manifest(folder).method
        used |= {("encoder", bare_name(name)) for name in method.encoders.values()}
        used |= {("pretrainer", bare_name(name.partition(":")[0])) for name in method.pretrainers}
        used |= {("fusion", bare_name(method.fusion or ""))}
    found = [each for each in registry.entries() if each.package == registry.BUNDLED and each.kind in KINDS]
    marked = {(each.kind, each.name): each.experimental for each in found}
    assert marked == {part: None if part in used else REASON for part in marked}
    assert {None, REASON} == set(marked.values())


def test_list_and_info_say_what_is_experimental(embench):
    shown = " ".join(embench("list", "encoder").out.split())
    assert shown.count(f"(experimental: {REASON})") >= 2
    rows = {row["name"]: row for row in json.loads(embench("list", "encoder", "--json").out)}
    assert rows["labram"]["experimental"] == REASON
    assert rows["handcrafted"]["experimental"] is None
    for name in ("labram", "handcrafted"):
        lines = [line.split(maxsplit=1) for line in embench("info", name).out.splitlines() if line.strip()]
        facts = {line[0]: line[1] for line in lines if len(line) > 1}
        assert facts.get("experimental") == (REASON if name == "labram" else None)
