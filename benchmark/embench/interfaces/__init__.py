"""The five plugin interfaces and the frozen types that they exchange."""
