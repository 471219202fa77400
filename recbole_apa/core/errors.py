"""Named errors. Each message says what was found, what was expected and what to do."""


class APAError(Exception):
    """Base of every error that a user can fix; the command line prints it and exits with status 2."""


class SettingsError(APAError, ValueError):
    """An option is unknown, missing, of the wrong type, or contradicts another."""


class MissingPluginError(SettingsError):
    """A run uses a name that a module registered which is not imported here."""


class DataError(APAError, ValueError):
    """The dataset cannot provide the requested samples."""


class PromptError(APAError, ValueError):
    """A prompt template does not match what it is to be filled with."""


class BackboneError(APAError, RuntimeError):
    """The language model cannot be found, verified, loaded or used."""


class PartitionError(APAError, ValueError):
    """Samples cannot be divided into shards as requested."""


class TrainingError(APAError, RuntimeError):
    """Training failed, e.g. the loss became NaN or infinite."""


class RunError(APAError, RuntimeError):
    """A run folder is missing, damaged, not ours, or not writable."""


class KeyFileError(RunError):
    """The key file is missing, damaged, not writable, or belongs to another run."""


class OtherModelError(RunError):
    """The folder holds a run of another model, which has functions of its own."""


class FinishedRunError(RunError):
    """Training was about to start in a folder where the same run has already finished."""


class CertificateError(APAError, RuntimeError):
    """What was to be forgotten can still be reached; nothing is certified."""


class RequestError(APAError, ValueError):
    """A request to forget is malformed, unknown, repeated or would leave nothing to train on; or an addition cannot be
    taken as it is."""
