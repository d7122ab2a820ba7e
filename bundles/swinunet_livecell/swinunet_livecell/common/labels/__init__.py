"""Label images: overlaps, matching, run lengths."""
