"""Teaching networks: pictures of a folder, sorted into classes, become a network that tells them apart.

``teaching.teach`` is the way in. It knows pictures, tensors and modules, neither plugins nor the command line;
Lightning's Trainer runs the loop. Importing this package imports no torch.
"""
