"""The bundled encoders."""
