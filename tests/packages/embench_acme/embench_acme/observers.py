"""An observer."""

import embench


class Counter:
    """Counts epochs."""

    def __init__(self) -> None:
        self.epochs = 0

    @embench.hookimpl
    def epoch_ended(self, epoch):
        self.epochs += 1
