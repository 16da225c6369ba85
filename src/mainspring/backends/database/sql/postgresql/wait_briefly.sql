-- tick: have the caller's transaction not wait for what others have locked.
SET LOCAL lock_timeout = '50ms'
