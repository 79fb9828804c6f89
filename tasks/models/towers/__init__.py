"""The parts of the two-tower model: encoding of features, network, batches and training.

TensorFlow reads its log level once, when it is first imported, so it is set here, before any module
of this package can import it. What the caller has set stays.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up banner, no oneDNN notice
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
