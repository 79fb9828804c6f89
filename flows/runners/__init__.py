"""What runs the tasks of a flow: threads, processes, or the workers of a Dask or Ray cluster."""
