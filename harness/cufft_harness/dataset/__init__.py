"""A data set from its files to batches: metadata, the check of every clip, features kept on disk, batches."""
