"""Features, labels and the exam: typed tables in, tables as of a day out."""
