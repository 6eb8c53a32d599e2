"""The microscope's files and pages: an atlas of a network's channels, a report on one of its classes."""
