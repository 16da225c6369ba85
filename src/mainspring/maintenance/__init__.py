"""What runs beside the tasks in every worker: staging, rescue, pruning; one small loop each."""
