"""Results in a browser: a server on this machine that shows, corrects and exports what was found."""
