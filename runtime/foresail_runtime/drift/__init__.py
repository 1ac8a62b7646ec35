"""Do the rows that a model is asked for still look like those it was made for, and do its answers?

    foresail reference MODEL DATA OUT.json        bins a feature, and how many rows of DATA lie in each
    foresail serve, with OUT.json beside it       how many of the sampled rows lie in each, now and in all

`features` says what is looked at of a tensor, `reference` holds the bins, `window` the counts of the last hour and of
all time, `watch` takes a sample of the runs within a bounded cost, `compare` has the measures, `export` the metrics
and the document. Counts of the same bins add up: over replicas, and over time.
"""
