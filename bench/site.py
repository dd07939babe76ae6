"""Times the site of many entries, and measures how large its pages are, and how fast a table sorts.

    python -m bench.site [--entries 1000]

The entries are the published ones, copied under other ids, and on two further datasets under other names, into a
temporary folder.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from bench import ROOT
from embench.site import build_site

COPIES = {"stress_predict": "stress_copy", "wearable_stress": "wearable_copy"}
SORTS = """() => ["score", "method", "modalities", "rank", "score", "method"].map(id => {
    const began = performance.now();
    document.querySelector(`[data-sort=${id}]`).click();
    document.body.offsetHeight;
    return performance.now() - began;
})"""


def make_entries(root: Path, count: int, copies: Mapping[str, str] = COPIES) -> None:
    """Writes `count` entries below `root`, copies of the published ones under other ids, and on the datasets of
    `copies` under these names as well."""
    published = sorted(path.parent for path in (ROOT / "leaderboards").glob("*/*/*/run.yaml"))
    sources = [(entry, name) for entry in published for name in (entry.parts[-3], copies.get(entry.parts[-3])) if name]
    for dataset in {(entry.parts[-3], name) for entry, name in sources}:
        shutil.copytree(ROOT / "leaderboards" / dataset[0] / "shared", root / dataset[1] / "shared")
    for number, (entry, name) in enumerate(islice(cycle(sources), count)):
        stem = entry.name.rpartition("-")[0]
        place = root / name / entry.parts[-2] / f"{stem}-{number:010x}"
        shutil.copytree(entry, place)
        text = (place / "run.yaml").read_text()
        text = text.replace(f"id: {entry.name}", f"id: {place.name}", 1)
        text = text.replace(f"name: embench_plugins/{entry.parts[-3]}", f"name: embench_plugins/{name}", 1)
        (place / "run.yaml").write_text(text)


def sort_times(site: Path) -> dict[str, list[float]]:
    """Dataset -> milliseconds of six sorts, in Chromium, with the layout after each."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    found = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for page in sorted(site.glob("*/subject-*")):
            tab = browser.new_page()
            tab.goto((page.parent / "index.html").as_uri())
            found[page.parent.name] = sorted(tab.evaluate(SORTS))
            tab.close()
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.site", description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1000)
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder:
        boards, out = Path(folder, "boards"), Path(folder, "site")
        make_entries(boards, count)
        began, cpu = time.monotonic(), time.process_time()
        build_site(boards, out)
        print(
            f"{count} entries: {time.monotonic() - began:.0f} s, of these {time.process_time() - cpu:.0f} s of the CPU"
        )
        sizes = sorted(((path.stat().st_size, path.relative_to(out)) for path in out.rglob("*.html")), reverse=True)
        for size, path in sizes[:8]:
            print(f"{size / 1e3:7.0f} kB  {path}")
        for dataset, milliseconds in sort_times(out).items():
            print(f"{median(milliseconds):7.0f} ms  to sort {dataset}; the slowest of six {milliseconds[-1]:.0f} ms")


if __name__ == "__main__":
    main()
