"""The pipeline: jobs are claimed, decoded, dreamt in batches and finished."""
