"""How often `diagnose` is right: labelled public reports, a fixed split of them, and the measure."""
