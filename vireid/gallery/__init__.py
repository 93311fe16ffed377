"""Galleries of images: embedded by a trained model, searched with images."""

from vireid.gallery import answers, application, commands, filters, images, listing, model, plan

__all__ = ["answers", "application", "commands", "filters", "images", "listing", "model", "plan"]
