"""The HTML report: tables, pictures, learning curves and provenance on one page without a network."""
