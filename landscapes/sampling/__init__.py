"""The sampler that looks for the verdict: which trainings shrink most what is not known of it."""
