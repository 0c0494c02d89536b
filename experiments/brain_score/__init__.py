"""Score language models on public brain benchmarks, with honest splits, baselines and ceilings."""
