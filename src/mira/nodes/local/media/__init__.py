"""Speech, transcription and embeddings on this machine: a child process that speaks OpenAI's routes, and its keeper."""
