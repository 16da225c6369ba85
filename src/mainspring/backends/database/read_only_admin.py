"""An admin to look at."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest


class ReadOnlyAdmin[M: models.Model](admin.ModelAdmin):  # type: ignore[type-arg] # not generic at run time
    """Shows rows to those who have Django's permission to view them, and changes none."""

    show_full_result_count = False  # counting millions of rows takes seconds

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may add one,"""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """change one,"""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """or delete one."""
        return False
