"""Color as colorization sees it: CIE Lab, and its ab plane cut into bins (Zhang 2018)."""
