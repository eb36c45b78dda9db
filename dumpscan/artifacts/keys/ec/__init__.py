"""Private keys on elliptic curves: the curves that have a name, their arithmetic, and the keys' structure in DER."""
