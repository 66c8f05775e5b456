"""A person's own videos and labels as a data set to train on.

    labels = read_labels("labels.csv", "videos")
    extract_many(labels.files.values(), "run/features", preset("fast"))
    data = open_labelled(labels, "run/features", settings)

Everything that can be wrong with labels is found before the features are extracted, which is what takes long.
"""
