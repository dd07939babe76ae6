"""EmoEEG-MC: its reader, layout, files and generator."""
