"""RecBole's rows -> samples -> prompts -> batches."""
