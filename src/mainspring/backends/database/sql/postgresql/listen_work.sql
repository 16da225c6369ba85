-- wake: hear of work from now on.
LISTEN mainspring_work
