"""Cross-modality localization: find when one modality's content happens in the other (Tian et al., ECCV 2018)."""
