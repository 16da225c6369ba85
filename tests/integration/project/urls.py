"""One page, that enqueues."""

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path
from jobs import tasks


def enqueue(request: HttpRequest, name: str) -> JsonResponse:
    """Enqueue the task ``name`` with the texts of the query's ``arg``."""
    task: Any = getattr(tasks, name)
    return JsonResponse({"id": task.enqueue(*request.GET.getlist("arg")).id})


urlpatterns = [path("enqueue/<str:name>/", enqueue)]
