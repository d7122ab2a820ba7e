"""Images larger than memory: cut into blocks that overlap, whose objects are joined over the seams."""
