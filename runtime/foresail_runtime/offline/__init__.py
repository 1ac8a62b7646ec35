"""Models over files instead of requests: `foresail batch` scores one, `foresail reference` learns from one.

```
 INPUT ──source: chunks of so many rows──> job: rows to tensors, engine, tensors to columns ──> sink ──> OUTPUT
                                            └ a row that can't be scored: a sentence           └──> OUTPUT.errors.jsonl
```
A chunk is all that is in memory of either file. What is written goes to the end of OUTPUT.partial, and the journal
says after each checkpoint how far both files are: a run that was killed is cut back to there and goes on. Chunks
and the rows of a run are cut by the input alone, never by time, so that the same input gives the same bytes.
"""
