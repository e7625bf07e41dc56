"""Fine-tuning: settings -> data set -> training -> checkpoints; every checkpoint goes on to `sampling`."""
