"""Writes down, in every process that has this folder on its path, each stage that comes to its end."""

import os
import sys


def count(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("/result.json") and "EMBENCH_TALLY" in os.environ:
        tally = os.open(os.environ["EMBENCH_TALLY"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(tally, str(arguments[1]).split("/")[-2].encode() + b"\n")
        os.close(tally)


sys.addaudithook(count)
