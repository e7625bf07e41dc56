"""The suite that runs in every PyTorch release: rows, scenarios, and the pytest files that hold them to promises."""
