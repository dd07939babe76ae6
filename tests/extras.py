"""Encoders whose networks are in libraries of the extra `foundation`, which `make setup` leaves out.

Where tests take every encoder, they go without these; each has tests of its own, which say what is missing.
"""

FOUNDATION = {
    "mantis": "mantis",
    **dict.fromkeys(("labram", "cbramod", "biot", "eegpt", "luna", "reve"), "braindecode"),
}
"""Encoder -> the module that it imports."""
