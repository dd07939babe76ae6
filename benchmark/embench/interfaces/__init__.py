"""The five plugin interfaces and the frozen types they exchange."""
