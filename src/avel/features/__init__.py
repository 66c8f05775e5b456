"""From a video to the features that models take, and to files that keep them; no label is seen here."""
