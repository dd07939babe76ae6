"""The bundled pretrainers."""
