"""Many machines: one document a GPU from `check`, and what thousands of them say together."""
