"""ROCKET, random convolutional kernels, as an encoder for embench."""
