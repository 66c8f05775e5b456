"""Reading video files: pictures at known times and the waveform, in one pass and bounded memory."""
