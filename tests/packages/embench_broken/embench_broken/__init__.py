"""An outside package in which much is wrong."""
