"""Coverage-guided fuzzing of what reads files from outside, with atheris: `nox -s fuzz`."""
