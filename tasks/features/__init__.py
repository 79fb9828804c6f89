"""Features, labels and the eval set: typed tables in, tables as of a day out."""
