"""The feature lists of `handcrafted`: by textbook definitions, and as the StressID code computes them."""
