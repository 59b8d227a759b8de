"""Episodes played and agents trained for the benchmarks: who plays, who learns, who leads."""
