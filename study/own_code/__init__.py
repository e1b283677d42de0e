"""Code of the user's own by name: tasks, functions, rules, optimizers; found, loaded, digested."""
