"""Ends the process at once when it is imported."""

import os

os._exit(3)
