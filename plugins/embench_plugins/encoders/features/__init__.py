"""The feature lists of `handcrafted`: by their textbooks, and as published."""
