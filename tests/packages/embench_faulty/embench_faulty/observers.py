"""An observer that raises."""

import embench


class Raises:
    @embench.hookimpl
    def stage_ended(self, figures):
        raise KeyError("cost")
