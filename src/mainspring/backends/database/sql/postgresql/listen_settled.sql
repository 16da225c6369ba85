-- wake: hear of results from now on.
LISTEN mainspring_settled
