"""Named errors. Each message says what was found, what was expected and what to do."""


class APAError(Exception):
    """Base of every error that a user can mend; the command line prints it and exits with status 2."""


class SettingsError(APAError, ValueError):
    """An option is unknown, missing, of the wrong type or contradicts another one."""


class DataError(APAError, ValueError):
    """The dataset cannot give the samples that were asked for."""


class PromptError(APAError, ValueError):
    """A prompt template and what is to be filled in do not fit each other."""


class BackboneError(APAError, RuntimeError):
    """The language model cannot be found, verified, loaded or used."""


class PartitionError(APAError, ValueError):
    """Samples cannot be divided into shards as asked."""


class TrainingError(APAError, RuntimeError):
    """Training left the numbers (a loss that is not finite)."""


class RunError(APAError, RuntimeError):
    """A run folder is missing, damaged, foreign, or cannot be written."""


class KeyFileError(RunError):
    """The key file is missing, damaged, of another run, or cannot be written."""


class FinishedRunError(RunError):
    """A training was to start where the very same one was finished before."""


class CertificateError(APAError, RuntimeError):
    """What was to be forgotten can still be reached; nothing is certified."""


class RequestError(APAError, ValueError):
    """A request to forget is malformed, unknown, repeated or would leave nothing to train on."""
