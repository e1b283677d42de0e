"""Studies grown after they were trained: beyond their borders, and between their best cells."""
