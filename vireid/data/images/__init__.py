"""Decoding of image files and the memory-mapped cache of decoded images."""

from vireid.data.images.cache import open_images
from vireid.data.images.decode import read_pixels
from vireid.data.images.image_files import IMAGE_SUFFIXES, find_images
from vireid.data.images.image_set import ImageSet

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageSet",
    "find_images",
    "open_images",
    "read_pixels",
]
