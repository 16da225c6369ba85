"""Workers: the processes and threads that claim jobs, run tasks and settle what came of them."""
