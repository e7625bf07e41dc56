"""One module per subcommand: its arguments, and the call that does the work. Heavy imports stay inside `command`."""
