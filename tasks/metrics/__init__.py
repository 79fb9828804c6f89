"""How good lists are: ranking, accuracy, intervals, beyond accuracy, agreement of orders."""
