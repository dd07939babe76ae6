"""EmoEEG-MC: its readers, its release and its generator."""
