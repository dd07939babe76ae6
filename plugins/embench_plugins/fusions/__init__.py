"""The bundled fusions."""
