"""The parts of the two-tower model: encoding of features, network, losses and training.

TensorFlow reads its settings once, when it is first imported, so they are set here, before any
module of this package can import it. What the caller has set stays.
"""

import os

from tasks.models.towers.cuda import open_cusolver

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up banner
# Plain Eigen kernels spread these small products over the cores, oneDNN did not when tried, and its
# notice appears whatever the log level
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

open_cusolver()
