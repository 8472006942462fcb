"""Errors a person can act on: each names the thing, the place and the remedy."""


class HeadraceError(Exception):
    """Base of every error that the command line prints without a traceback."""


class ConfigurationError(HeadraceError):
    """A setting or a file of the user's is missing or cannot be used."""


class WarehouseError(HeadraceError):
    """The warehouse cannot be reached, or does not hold what was expected."""


class VectorStoreError(HeadraceError):
    """The vector store cannot be read or written."""


class ModelError(HeadraceError):
    """An embedding model does not work."""


class AccessError(HeadraceError):
    """The reader may not see what was asked for."""
