"""Questions and answers: the context window, prompts, citations, the extractive answerer."""
