"""Columns of the units from the accelerometer: what it shows in each, with what it shows minutes before and after, and
models that read the label off these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embench.statistics.nuisance.accelerometer import Movement
from embench.statistics.nuisance.members import (
    Members,
    careful_trees,
    forest,
    kernel,
    linear,
    perceptron,
    trees,
)
from embench.statistics.nuisance.sessions import CLIP, Sessions, standard

NEAR_S = (30.0, 60.0, 120.0)
FAR_S = (240.0, 600.0)
BURSTS = (0.5, 1.0, 1.5, 2.0)
"""Standard deviations above the subject's mean from which movement counts as a burst."""
MOST_SINCE = 60
"""Units since the last burst are counted up to here."""
COMPONENTS = 60
Smoothed = Mapping[str, Sequence[tuple[float, float]]]
"""Members whose predictions are averaged too, over so many seconds before and after."""


@dataclass(frozen=True)
class Moved:
    """The accelerometer of C axes in n units, in the order of sessions."""

    movement: Movement
    sessions: Sessions

    @cached_property
    def raw(self) -> np.ndarray:
        """(n, 4 (5 + C)) movement and posture in units that subjects share, with context."""
        size = self.movement.size
        columns = [size[:, 1], np.log(size[:, 5] + 1e-3), size[:, [0, 2, 3]], self.movement.posture]
        return self.sessions.context(standard(np.column_stack(columns)), NEAR_S)

    @cached_property
    def wide(self) -> np.ndarray:
        """(n, 6 (6 + 2 C)) movement and posture of a subject, with context of up to ten minutes."""
        shown = np.hstack([self.movement.size, self.movement.posture, self.movement.axis_sd])
        return self.sessions.context(self.sessions.standardised(shown), (*NEAR_S, *FAR_S))

    @cached_property
    def bands(self) -> np.ndarray:
        """(n, 6 (1 + C) + 5) power in bands and shape of the movement of a subject."""
        return self.sessions.standardised(np.hstack([self.movement.bands, self.movement.shape]))

    @cached_property
    def oriented(self) -> np.ndarray:
        """(n, C + 5) direction of gravity, its change since 1, 3, 6 and 12 units, and within the unit."""
        direction = np.nan_to_num(self.movement.direction)
        turned = [self.sessions.angle(direction, back)[:, None] for back in (1, 3, 6, 12)]
        return self.sessions.standardised(np.hstack([self.movement.direction, *turned, self.movement.turn]))

    @cached_property
    def since_bursts(self) -> np.ndarray:
        """(n, 4) units since movement was so far above the subject's mean."""
        size = self.sessions.standardised(self.movement.size[:, 1:2])[:, 0]
        return np.stack([self.sessions.since(size, above, MOST_SINCE) for above in BURSTS], axis=1)

    def near(self, columns: np.ndarray) -> np.ndarray:
        """(n, 4 k) `columns` (n, k) with their means over two minutes to each side."""
        return self.sessions.context(columns, NEAR_S)

    def columns(self) -> list[np.ndarray]:
        """Columns of about unit scale that are held constant as they are."""
        wide = np.clip(self.wide, -CLIP, CLIP)
        share = self.sessions.share_so_far(self.movement.size[:, 4])
        far = np.stack([share, share - self.sessions.start / self.sessions.length], axis=1)
        return [
            wide,
            wide**2 / 2,
            self.since_bursts / 20,
            self.raw,
            self.raw**2 / 2,
            np.clip(self.near(self.bands), -CLIP, CLIP),
            np.clip(self.near(self.oriented), -CLIP, CLIP),
            np.clip(self.sessions.standardised(far), -CLIP, CLIP),
        ]

    def members(self, places: np.ndarray) -> tuple[Members, Smoothed]:
        """Models on these columns, some with `places` (n, k) in the session, and which predictions are smoothed."""
        own = self.sessions.standardised(np.hstack([self.movement.size, self.movement.posture]))
        both = np.hstack([self.bands, self.oriented])
        near_both = np.hstack([self.near(self.bands), self.near(self.oriented)])
        unscaled = standard(np.hstack([self.movement.bands, self.movement.shape]))
        convolved = self.sessions.standardised(_components(self.movement.convolved))
        near_convolved = self.sessions.context(convolved[:, : COMPONENTS // 2], (60.0, 120.0))
        members: Members = {
            f"{make.__name__} {seconds:g}": (self.sessions.context(own, [seconds] if seconds else []), make)
            for make in (trees, kernel, linear)
            for seconds in (0.0, *NEAR_S)
        }
        members = {
            **members,
            "joint": (np.hstack([self.wide, self.since_bursts, self.raw, places]), careful_trees),
            "bands forest": (both, forest),
            "bands trees": (both, careful_trees),
            "bands kernel": (both, kernel),
            "bands forest near": (self.sessions.context(both, (60.0,)), forest),
            "bands linear": (self.near(unscaled), linear),
            "bands trees near": (near_both, careful_trees),
            "bands trees clock": (np.hstack([near_both, places]), careful_trees),
            "convolved linear": (convolved, linear),
            "convolved network": (near_convolved, perceptron),
            "convolved network clock": (np.hstack([near_convolved, places]), perceptron),
            "convolved trees": (near_convolved, careful_trees),
        }
        spans = [(s, s) for s in NEAR_S]
        smoothed: Smoothed = {
            **dict.fromkeys(("trees 0", "kernel 0", "joint"), spans),
            **dict.fromkeys(("bands trees near", "convolved linear", "convolved network"), spans[1:2]),
            "bands forest": spans[:2],
        }
        return members, smoothed

    def traces(self) -> list[list[np.ndarray]]:
        """Channels and summaries by which sessions are aligned, each of one or several traces (n,)."""
        sessions, movement = self.sessions, self.movement
        size = sessions.standardised(movement.size)
        log_range = sessions.standardised(np.log(movement.size[:, 5:] + 1e-3))
        centroid = self.bands[:, movement.bands.shape[1], None]
        turned = self.oriented[:, movement.direction.shape[1] :]

        def around(values: np.ndarray, units: int) -> list[np.ndarray]:
            return list(sessions.mean(values, units * sessions.unit_s, units * sessions.unit_s).T)

        return [
            around(size[:, 1:2], 2),
            around(size[:, 2:3], 1),
            around(log_range, 0),
            *([trace] for trace in around(sessions.standardised(movement.posture), 2)),
            around(sessions.standardised(movement.axis_sd), 2),
            around(self.bands[:, [0, 2, 4]], 2),
            around(centroid, 2),
            around(turned[:, [1, 3]], 2),
            around(size[:, 1:2], 9),
        ]


def surrounded(values: np.ndarray, sessions: Sessions, about: str) -> tuple[list[np.ndarray], Members, Smoothed]:
    """Columns of a subject's `values` (n, k) with their means over two minutes to each side, and the squares of these;
    models on them, called after what they are `about`, and which predictions are smoothed."""
    own = sessions.standardised(values)
    wide = sessions.context(own, NEAR_S)
    members: Members = {
        f"{about} trees": (wide, careful_trees),
        f"{about} linear": (wide, linear),
        f"{about} forest": (own, forest),
    }
    wide = np.clip(wide, -CLIP, CLIP)
    return [wide, wide**2 / 2], members, {f"{about} trees": [(60.0, 60.0)]}


def _components(convolved: np.ndarray) -> np.ndarray:
    """(n, 60) principal components; no label decides them."""
    from sklearn.decomposition import PCA

    known = standard(convolved)
    return np.asarray(PCA(min(COMPONENTS, *known.shape), random_state=0).fit_transform(known))
