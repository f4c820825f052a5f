"""Tests of the client: `test_parts` of what needs no gateway, the others against the one at `HEARTH_URL`."""
