"""Examine this machine: driver, libraries, experiments; name the cause; write it up for others. No torch here."""
