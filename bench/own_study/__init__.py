"""A film study as a psychologist records it, drawn forty times: whether the last screen of `docs/start/own-data.md` is
right where there is an effect and where there is none. `plan.md` was written before any result."""
