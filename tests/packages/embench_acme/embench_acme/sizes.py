"""What the encoder is made of."""

DIM = 8
