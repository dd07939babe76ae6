"""What the generators of synthetic files share: bodies, faces, writers of formats; `generator` is their frame."""
