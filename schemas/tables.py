"""Every table by the name of its folder, and the contract that it keeps."""

import pandera.polars as pa

from schemas import evaluation, features
from schemas import ingested as ingest

CONTRACTS: dict[str, type[pa.DataFrameModel]] = {
    "interactions": ingest.Interactions,
    "block": ingest.Block,
    "users": ingest.RawUsers,
    "videos": ingest.RawVideos,
    "daily": ingest.Daily,
    "friends": ingest.FriendLists,
    "captions": ingest.Captions,
    "rejects": ingest.Rejects,
    "coverage": ingest.Coverage,
    "pairs": features.Pairs,
    "user_features": features.Users,
    "video_features": features.Videos,
    "user_index": features.UserIndex,
    "video_index": features.VideoIndex,
    "friendships": features.Friendships,
    "enjoyed_curve": features.EnjoyedCurve,
    "cells": evaluation.Cells,
    "per_user": evaluation.PerUser,
    "leaderboard": evaluation.Leaderboard,
    "comparisons": evaluation.Comparisons,
    "agreements": evaluation.Agreements,
    "swaps": evaluation.Swaps,
    "slices": evaluation.Slices,
    "beyond": evaluation.Beyond,
    "ablation": evaluation.Ablation,
    "notebook": evaluation.NotebookFigures,
    "next_days": evaluation.NextDays,
    "next_days_per_user": evaluation.PerUser,
    "next_days_leaderboard": evaluation.Leaderboard,
    "aged": evaluation.Aged,
    "staleness": evaluation.Staleness,
    "top_n": evaluation.TopN,
    "watch": evaluation.Watch,
}
