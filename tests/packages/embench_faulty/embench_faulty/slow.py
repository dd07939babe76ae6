"""Takes seconds to import."""

import time

from embench_faulty.metrics import Accuracy

time.sleep(1.5)


class Slow(Accuracy):
    """Fine but for its module."""
