"""Programs that deliver a backlog and print what it took, one process each; the stand (../stand) starts them."""
