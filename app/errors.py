"""Every error Glimpse raises on purpose. Messages are written for the person who meets them.

::

    GlimpseError
    ├── NotFound               no such picture, page or receipt
    ├── InvalidInput           a request that can't be answered as it stands
    │   └── TooLarge           … because it is over a limit
    ├── PictureError           a file that is no picture we can read; costs that one file
    ├── ModelNotReady          the model is still loading: try again in a moment
    ├── ModelUnavailable       the model named in the settings can't be had
    │   └── ModelTooLarge      … because there is not enough memory for it
    ├── EngineUnavailable      the vector engine named in the settings does not answer
    ├── CatalogUnavailable     the catalog can't be read or written just now: its disk, its server, its holder
    └── StorageUnavailable     pictures can't be read or written just now: the object store is away
"""

from __future__ import annotations


class GlimpseError(Exception):
    """Base of all: ``str(error)`` is what the person reads."""


class NotFound(GlimpseError):
    """There is no such thing here (any more)."""


class InvalidInput(GlimpseError):
    """The request is understood but can't be answered as it stands."""


class TooLarge(InvalidInput):
    """Over a limit; the message names the limit and the setting behind it."""


class PictureError(GlimpseError):
    """The bytes are no picture, or one that can't be read. The message is the reason shown beside the file."""


class ModelNotReady(GlimpseError):
    """The model is still loading."""


class ModelUnavailable(GlimpseError):
    """The model can't be loaded; the message says why and what to do."""


class ModelTooLarge(ModelUnavailable):
    """The model is there, but not the memory that it takes."""


class EngineUnavailable(GlimpseError):
    """The vector engine does not answer, or can't be used; the message says which and what to do."""


class CatalogUnavailable(GlimpseError):
    """The catalog can't be read or written just now; the message says why and what to do. What was said to be done
    before holds.
    """


class StorageUnavailable(GlimpseError):
    """Where pictures lie can't be reached or written to; the message says why. Nothing is lost, and asking again makes
    sense."""
