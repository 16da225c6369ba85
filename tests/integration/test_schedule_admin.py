"""The admin of schedules: added, changed and deleted by those who may, of exposed tasks only."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.tasks import task_backends
from django.test import Client

from mainspring.backends.database.models import ScheduleEntry
from mainspring.core.schedule_states import Start
from tests.unit import tasks

ENTRIES = "/admin/mainspring_database/scheduleentry/"
STATES = "/admin/mainspring_database/schedulestate/"
FORM = {
    "name": "sums",
    "backend": "default",
    "task": "Sum",
    "is_enabled": "on",
    "cron": "0 8 * * MON-FRI",
    "timezone": "",
    "every": "",
    "jitter": "0",
    "catch_up": "latest",
    "overlap": "queue",
    "args": "[1, 2]",
    "kwargs": "{}",
    "queue_name": "",
    "priority": "",
}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage(settings: Any) -> Any:
    settings.TASKS = {
        **settings.TASKS,
        "default": {
            "BACKEND": "mainspring.backends.database.DatabaseBackend",
            "OPTIONS": {"EXPOSED_TASKS": {"Sum": tasks.add.module_path}},
        },
    }
    return task_backends["default"].storage


def errors(client: Client, **changes: str) -> dict[str, list[str]]:
    """Return what the form to add one says is wrong."""
    answer = client.post(f"{ENTRIES}add/", FORM | changes)
    assert answer.status_code == 200
    return answer.context["adminform"].form.errors


def test_one_is_added_changed_and_deleted(admin_client: Client, storage: Any) -> None:
    page = admin_client.get(f"{ENTRIES}add/").content.decode()
    assert '<option value="Sum">Sum</option>' in page
    assert admin_client.post(f"{ENTRIES}add/", FORM).status_code == 302
    (row,) = ScheduleEntry.objects.all()
    assert [one.name for one in storage.read_entries()] == ["sums"]
    page = admin_client.get(ENTRIES).content.decode()
    assert "0 8 * * MON-FRI" in page
    where = f"{ENTRIES}{row.pk}/"
    changed = {**FORM, "cron": "", "every": "90"}
    assert admin_client.post(f"{where}change/", changed).status_code == 302
    assert "every 90 seconds" in admin_client.get(ENTRIES).content.decode()
    assert admin_client.post(f"{where}delete/", {"post": "yes"}).status_code == 302
    assert storage.read_entries() == []


def test_what_makes_no_sense_is_said_at_its_field(admin_client: Client) -> None:
    assert "can never fire" in str(errors(admin_client, cron="0 0 31 2 *")["cron"])
    assert "no time zone" in str(errors(admin_client, timezone="Nowhere")["timezone"])
    assert "must be JSON" in str(errors(admin_client, args="1,")["args"])
    assert list(errors(admin_client, every="5")) == ["cron"]


def test_only_exposed_tasks_can_be_chosen(admin_client: Client) -> None:
    assert list(errors(admin_client, task=tasks.add.module_path)) == ["task"]
    assert list(errors(admin_client, task="os.system")) == ["task"]
    assert list(errors(admin_client, backend="kept")) == ["backend"]


def test_a_task_that_is_exposed_no_more_is_said_to_be(admin_client: Client) -> None:
    row = ScheduleEntry(name="old", task="Gone", every=5)
    row.save()
    page = admin_client.get(f"{ENTRIES}{row.pk}/change/").content.decode()
    assert '<option value="Gone" selected>Gone</option>' in page
    answer = admin_client.post(
        f"{ENTRIES}{row.pk}/change/", {**FORM, "name": "old", "task": "Gone"}
    )
    assert "EXPOSED_TASKS" in str(answer.context["adminform"].form.errors["task"])


def test_each_permission_is_needed(client: Client) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    row = ScheduleEntry(name="one", task="Sum", every=5)
    row.save()
    pages = {
        "view": (ENTRIES, "get"),
        "add": (f"{ENTRIES}add/", "get"),
        "change": (f"{ENTRIES}{row.pk}/change/", "post"),
        "delete": (f"{ENTRIES}{row.pk}/delete/", "get"),
    }
    for right, (page, how) in pages.items():
        assert getattr(client, how)(page).status_code == 403
        clerk.user_permissions.add(Permission.objects.get(codename=f"{right}_scheduleentry"))
        assert getattr(client, how)(page).status_code == 200
    assert client.get(STATES).status_code == 403


def test_who_may_only_look_sees_it(client: Client) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_scheduleentry"))
    client.force_login(clerk)
    row = ScheduleEntry(name="one", task="Sum", every=5)
    row.save()
    assert "Sum" in client.get(f"{ENTRIES}{row.pk}/change/").content.decode()


def test_states_are_shown_and_not_changed(admin_client: Client, storage: Any) -> None:
    storage.start_schedules([Start("nightly", "f", 1, 1_700_000_000_000_000)])
    page = admin_client.get(STATES)
    assert "nightly" in page.content.decode()
    (row,) = page.context["cl"].result_list
    assert "2023" in admin_client.get(f"{STATES}{row.pk}/change/").content.decode()
    assert admin_client.get(f"{STATES}add/").status_code == 403
    assert admin_client.post(f"{STATES}{row.pk}/delete/", {"post": "yes"}).status_code == 403
