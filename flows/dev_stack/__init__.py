"""The development stack of `up`: Prefect's server, a worker, MLflow, and the door before them."""
