"""The lists on the page `docs/reference/features.md`: what the bundled encoders compute of each modality."""

import textwrap

from embench import registry

from .pages import ROOT

PAGE = ROOT / "docs" / "reference" / "features.md"
CHANNEL = "CHANNEL"
"""Stands in names for each channel of a modality."""


def lists() -> str:
    parts = []
    for entry in sorted(registry.entries(), key=lambda entry: entry.name):
        if entry.kind == "encoder" and entry.package == registry.BUNDLED:
            encoder = registry.load_plugin("encoder", entry.name)
            names = _names(encoder(encoder.recipes["paper"])) if "features" in encoder.offers else {}
            if names:
                parts.append(f"## {entry.name}\n\n{entry.description}\n")
            for features, modalities in names.items():
                title = f"{', '.join(f'`{m}`' for m in modalities)}: {len(features)} of each signal"
                text = "\n".join(
                    textwrap.wrap("  ".join(features), 110, break_long_words=False, break_on_hyphens=False)
                )
                parts.append(f"{title}\n\n```text\n{text}\n```\n")
    return "\n".join(parts).strip()


def _names(encoder):
    """The names -> the modalities that have them."""
    found = {}
    for modality in sorted(encoder.accepts):
        names = tuple(name.removeprefix(f"{CHANNEL}_") for name in encoder.feature_names(modality, (CHANNEL,)))
        found.setdefault(names, []).append(modality)
    return {names: modalities for names, modalities in found.items() if names}
