"""Commands: flags from config classes, one process that works, errors as one line."""
