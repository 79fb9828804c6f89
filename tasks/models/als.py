"""iALS: implicit-feedback matrix factorisation, solved by the implicit library."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from schemas.model_settings import ALSConfig
from tasks.models.base import FloatMatrix, Recommender, Training


class ALS(Recommender[ALSConfig]):
    r"""Scores (u, v) by the inner product of a user's and a video's factors.

    A pair is positive if a view of it was enjoyed. Its error weighs 1, that of every other cell
    :math:`\alpha_0`; with :math:`w_u` and :math:`w_v` the summed weights of a row and of a column,
    the factors minimise

    .. math::
        \sum_{uv \in +} (1 - x_u^T y_v)^2 + \alpha_0 \sum_{uv \notin +} (x_u^T y_v)^2
        + \lambda (\sum_u w_u^\nu |x_u|^2 + \sum_v w_v^\nu |y_v|^2)

    (Hu, Koren, Volinsky 2008; with the penalty scaled by frequency: Rendle, Krichene, Zhang, Koren
    2022, "Revisiting the performance of iALS on item recommendation benchmarks"). They weigh all
    cells by :math:`\alpha_0` and the positive ones by 1 more: theirs of .15 and :math:`\lambda` of
    .024 are .13 and .028 here. :math:`\alpha_0` 1 and :math:`\nu` 0 are the library's own defaults.

    Users and videos without a positive pair have factors of NaN and cannot be served: no equation
    says anything about them.
    """

    config_type = ALSConfig
    libraries = ("implicit.cpu.als", "threadpoolctl")
    state_attributes = ("user_factors_", "video_factors_")
    user_factors_: FloatMatrix
    video_factors_: FloatMatrix

    def _fit(self, training: Training) -> None:
        enjoyed = training.user_item.where(pl.col("enjoyed") > 0)
        is_positive = enjoyed.matrix("enjoyed", training.shape).astype(bool)
        self.user_factors_, self.video_factors_ = factorise(is_positive, self.config, training.seed)

    def _score(self, user_idx: NDArray[Any]) -> FloatMatrix:
        scores: FloatMatrix = self.user_factors_[user_idx] @ self.video_factors_.T
        return scores


def factorise(
    is_positive: sparse.csr_matrix, config: ALSConfig, seed: int, threads: int = 0
) -> tuple[FloatMatrix, FloatMatrix]:
    """Return the factors (n_users, factors) and (n_videos, factors); NaN rows: no positive pair.

    ``threads`` 0 means all cores; the result is the same to the bit whatever it is.
    """
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    solve = AlternatingLeastSquares(use_cg=True).solver
    rng = np.random.default_rng(seed)
    users, videos = (
        rng.random((n, config.factors), dtype=np.float32) * 0.01 for n in is_positive.shape
    )
    by_user, by_video = (penalised(side, config) for side in (is_positive, is_positive.T.tocsr()))
    unit = np.eye(config.factors, dtype=np.float32)
    with threadpool_limits(1, "blas"):  # the library's own threads would fight with BLAS's
        for _ in range(config.iterations):
            solve(by_user, users, np.vstack([videos, unit]), 0.0, num_threads=threads)
            solve(by_video, videos, np.vstack([users, unit]), 0.0, num_threads=threads)
    users[np.diff(by_user.indptr) == config.factors] = np.nan
    videos[np.diff(by_video.indptr) == config.factors] = np.nan
    return users, videos


def penalised(is_positive: sparse.csr_matrix, config: ALSConfig) -> sparse.csr_matrix:
    r"""Return the confidences that make the library penalise each row by its own weight.

    The library knows one penalty for all rows. A row's own stands here as cells of as many more
    columns as there are factors, whose factors are the unit vectors: an error of
    :math:`\lambda_r (0 - x_r^T e_k)^2` each. Negative numbers are its way to say "0, this sure".
    It weighs all other cells by 1, so that everything is divided by :math:`\alpha_0`.
    """
    n, m = is_positive.shape
    count = np.diff(is_positive.indptr)
    weight = count + config.unobserved_weight * (m - count)
    penalty = config.regularization * weight**config.frequency_exponent
    own = -np.repeat(penalty / config.unobserved_weight, config.factors).reshape(n, -1)
    positive = sparse.csr_matrix(
        (
            np.full(is_positive.nnz, 1 / config.unobserved_weight, dtype=np.float32),
            is_positive.indices,
            is_positive.indptr,
        ),
        shape=(n, m),
    )
    return sparse.hstack([positive, own.astype(np.float32)], format="csr", dtype=np.float32)
