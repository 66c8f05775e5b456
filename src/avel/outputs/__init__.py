"""Writing a result: JSON, CSV, SRT, VTT, HTML, PNG, MP4."""
