"""Command lines."""


def words(options, **changes):
    """A command line; values that YAML cannot hold plainly go by file."""
    return [f"--{k}={v}" for k, v in {**options, **changes}.items()]
