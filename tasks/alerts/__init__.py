"""Alerts: what somebody must hear of, one message a cause, to a webhook and by email."""
