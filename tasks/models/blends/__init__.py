"""How the hybrid puts its components on one scale and combines them."""
