"""Score files and printed values -> tables that put our numbers beside the paper's.

A cell is filled by score files and by nothing else; the paper's value has a column of its own.
"""
