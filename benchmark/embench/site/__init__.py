"""The leaderboards as a static site: `embench leaderboard site`. See `build_site`.

The pages open from a disk without a server: data stand in the pages or in plain scripts beside them, libraries in
`assets/vendor/`. What an entry holds is text of others, and is escaped wherever it is written.
"""

from embench.site.build import build_private_site, build_site

__all__ = ["build_private_site", "build_site"]
