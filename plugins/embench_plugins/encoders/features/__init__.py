"""The feature lists of `handcrafted`: one module a kind of signal, arrays in, one row a span out."""
