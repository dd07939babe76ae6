"""How well a plan foretells the difference that `embench compare` says would have been detected."""
