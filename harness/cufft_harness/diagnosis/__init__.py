"""From evidence to causes: reads pasted logs and probe results, ranks the catalogue's causes. No torch here."""
