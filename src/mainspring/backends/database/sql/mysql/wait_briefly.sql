-- tick: have the caller's session not wait for what others have locked, longer than it has to.
SET SESSION innodb_lock_wait_timeout = 1
