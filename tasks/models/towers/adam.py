"""Adam by TensorFlow's own kernel: one pass over each table, where Keras' takes a dozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Keras' defaults."""


class Adam:
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    It computes what ``keras.optimizers.Adam`` does. ``learning_rate`` is a variable, to be assigned
    before the first step. A weight's L2 penalty is added here: its derivative is twice the weight,
    and the sum of squares itself is of no use to anyone.
    """

    def __init__(self, weights: list[Any]) -> None:
        """Begin without momentum; ``weights`` are Keras' variables, changed in place by steps."""
        self.weights = weights
        self.learning_rate = tf.Variable(0.0)
        self.steps = tf.Variable(0.0)
        self.means, self.squares = (
            [tf.Variable(np.zeros(weight.shape, np.float32)) for weight in weights]
            for _ in range(2)
        )

    def apply(self, gradients: list[Any]) -> None:
        """Take a step against ``gradients`` and penalties, one for each weight in their order."""
        steps = self.steps.assign_add(1.0)
        for weight, mean, square, gradient in zip(
            self.weights, self.means, self.squares, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.value.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=BETA_1**steps,
                beta2_power=BETA_2**steps,
                lr=self.learning_rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=_penalised(gradient, weight),
            )


def _penalised(gradient: Any, weight: Any) -> Any:
    """Return the derivative by a weight with its penalty's, which must be Keras' L2, or none."""
    dense = tf.convert_to_tensor(gradient)
    if weight.regularizer is None:
        return dense
    return dense + 2 * float(weight.regularizer.l2) * weight.value
