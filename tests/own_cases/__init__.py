"""Studies of one's own in the forms that are known to go wrong, and what is right of each."""
