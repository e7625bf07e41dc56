"""Training beside coqui's own trainer, and what our defaults rest on."""
