"""The command line of each stage that systems share: ``python -m unpaired.stages.<stage>``."""
