"""Localization models: tensors in, tensors out; one file per paper; no file is opened here."""
