"""Prints what this machine lacks to train on a GPU, and nothing where it lacks nothing."""

import shutil

import torch

if not torch.cuda.is_available():
    if torch.version.cuda is None:
        print(f"torch {torch.__version__} was built without CUDA (pytorch.org/get-started has one with it)")
    elif shutil.which("nvidia-smi") is None:
        print(f"torch {torch.__version__} has CUDA {torch.version.cuda}, but there is no NVIDIA driver (no nvidia-smi)")
    else:
        print(f"torch {torch.__version__} with CUDA {torch.version.cuda} finds no GPU; see what nvidia-smi prints")
