"""The search of models' settings: on validation users, by Optuna, and what it found kept."""
