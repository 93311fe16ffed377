"""Galleries of people's own images: embedded by a trained model, searched with images."""

from vireid.gallery import answers, application, commands, filters, listing, model

__all__ = ["answers", "application", "commands", "filters", "listing", "model"]
