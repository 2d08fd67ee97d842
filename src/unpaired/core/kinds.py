"""Kinds of numbers, for the annotations of settings: to Python plain numbers, to a person ranges.

A field that is annotated ``int`` is 1 at least, one annotated ``float`` 0 at least; a field of
another range says so by one of these. `catalog.method_settings` reads it.
"""

from __future__ import annotations

CountFromZero = int  # 0 at least
PositiveNumber = float  # greater than 0
Share = float  # from 0 to 1
ShareBelowOne = float  # from 0 to less than 1
SignedNumber = float  # of any sign
