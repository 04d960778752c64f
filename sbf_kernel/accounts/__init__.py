"""Users of a deployment: passwords, tokens, who a request comes from."""
