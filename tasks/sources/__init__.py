"""Where raw files come from: a folder, a zip file, the network, or the demo world."""
