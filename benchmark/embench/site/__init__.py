"""The leaderboards as a static site: `embench leaderboard site`. See `build_site`.

The pages open from a disk without a server: their data are in the pages or in plain scripts next to them, libraries in
`assets/vendor/`. Texts in entries come from others and are always escaped.
"""

from embench.site.build import build_private_site, build_site

__all__ = ["build_private_site", "build_site"]
