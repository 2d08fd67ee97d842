"""The HTML report: tables, pictures, learning curves and provenance on one page, no network."""
