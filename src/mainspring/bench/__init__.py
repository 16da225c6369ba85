"""`mainspring bench`: what Mainspring costs, beside Django or the bare engine in the same run."""
