"""Every table by the name of its folder, and the contract that it keeps."""

import pandera.polars as pa

from schemas import evaluation, features, live_test, tuning
from schemas import ingested as ingest

CONTRACTS: dict[str, type[pa.DataFrameModel]] = {
    "interactions": ingest.Interactions,
    "small_matrix": ingest.SmallMatrix,
    "users": ingest.RawUsers,
    "video_tags": ingest.VideoTags,
    "video_daily_stats": ingest.VideoDailyStats,
    "friends": ingest.FriendLists,
    "captions": ingest.Captions,
    "rejects": ingest.Rejects,
    "coverage": ingest.Coverage,
    "user_item": features.UserItem,
    "user_features": features.Users,
    "video_features": features.Videos,
    "user_index": features.UserIndex,
    "video_index": features.VideoIndex,
    "friendships": features.Friendships,
    "label_threshold": features.LabelThreshold,
    "eval_pairs": evaluation.EvalPairs,
    "per_user": evaluation.PerUser,
    "leaderboard": evaluation.Leaderboard,
    "comparisons": evaluation.Comparisons,
    "rank_correlations": evaluation.RankCorrelations,
    "rank_inversions": evaluation.RankInversions,
    "slices": evaluation.Slices,
    "beyond_accuracy": evaluation.BeyondAccuracy,
    "ablation": evaluation.Ablation,
    "list_shares": live_test.ListShares,
    "live_test": live_test.LiveTest,
    "notebook_reference": evaluation.NotebookReference,
    "holdout": evaluation.Holdout,
    "holdout_per_user": evaluation.PerUser,
    "holdout_leaderboard": evaluation.Leaderboard,
    "model_age_scores": evaluation.ModelAgeScores,
    "staleness": evaluation.Staleness,
    "trial_scores": tuning.TrialScores,
    "tuning_comparison": tuning.TuningComparison,
    "top_n": evaluation.TopN,
    "monitoring_checks": evaluation.MonitoringChecks,
}
